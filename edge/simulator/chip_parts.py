"""The parts of a chip's description: one frozen dataclass per table of its file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edge.simulator.tables import Count, Natural, NotNegative, Positive, Share


class Role(StrEnum):
    """What a transfer is for; a port carries some of these."""

    WEIGHTS = "weights"
    INPUT = "input"
    SECOND_INPUT = "second-input"
    OUTPUT = "output"
    MAP = "map"  # the attention map


class Granularity(StrEnum):
    """What one weight buffer holds: a whole expert, or one of its two matrices."""

    EXPERT = "expert"
    MATRIX = "matrix"


class Activations(StrEnum):
    """Where activations live between two operations."""

    DRAM = "dram"
    ON_CHIP = "on-chip"


class DenseLoads(StrEnum):
    """When the weights of a dense layer are fetched: after the layer before it ended, or as soon as a buffer is free."""

    BLOCKING = "blocking"
    AHEAD = "ahead"


class QueueLayout(StrEnum):
    """Token queues: a list of N entries per expert, or one list of N·k entries sorted by expert with E + 1 bounds."""

    DENSE = "dense"
    COUNTING_SORT = "counting-sort"


@dataclass(frozen=True, slots=True)
class Clock:
    """MHz."""

    mhz: Positive


@dataclass(frozen=True, slots=True)
class LinearArray:
    """`rows` outputs × `cols` inputs, one MAC each per cycle; `fill` cycles are paid once per call."""

    rows: Count
    cols: Count
    macs_per_dsp: Positive
    fill: Natural

    @property
    def macs_per_cycle(self) -> int:
        return self.rows * self.cols

    def cycles(self, rows: int, inputs: int, outputs: int) -> int:
        """Cycles of a (rows, inputs) × (inputs, outputs) product without `fill` (moe_fpga sheet 4.2)."""
        return rows * -(-outputs // self.rows) * -(-inputs // self.cols)


@dataclass(frozen=True, slots=True)
class AttentionArray:
    """`queries` held at once, `lanes` dimensions each, one MAC each per cycle; once for QKᵀ and once for A·V."""

    queries: Count
    lanes: Count
    macs_per_dsp: Positive
    fill: Natural

    @property
    def macs_per_cycle(self) -> int:
        return self.queries * self.lanes


@dataclass(frozen=True, slots=True)
class Arrays:
    """The compute arrays; the attention array exists twice."""

    linear: LinearArray
    attn: AttentionArray


@dataclass(frozen=True, slots=True)
class StreamUnits:
    """Norms, sums and the gate: cycles of one call, and of one token beside the streaming of its row."""

    fill: Natural
    norm_token: Natural
    gate_token: Natural


@dataclass(frozen=True, slots=True)
class Memory:
    """On-chip bytes, of which `reserved_bytes` serve what is not modelled."""

    bram_bytes: Natural
    uram_bytes: Natural
    reserved_bytes: Natural
    activations: Activations

    @property
    def usable_bytes(self) -> int:
        return self.bram_bytes + self.uram_bytes - self.reserved_bytes


@dataclass(frozen=True, slots=True)
class Master:
    """Camera or display: `bytes` of one line in every `period_us`, moved in a burst of at most `bytes_per_cycle`."""

    name: str
    bytes: Count
    period_us: Positive
    bytes_per_cycle: Positive


@dataclass(frozen=True, slots=True)
class Ddr:
    """The channel that all ports share; `background_bytes_per_cycle` is what camera and display take first.

    `master` says the same in more detail: who takes how much in bursts of which period. They come before all ports, an
    earlier one before a later one. `efficiency` is the share of every rate, the channel's and the ports', achieved.
    """

    gbytes_s: Positive
    burst_latency_ns: NotNegative
    efficiency: Share
    background_bytes_per_cycle: NotNegative = 0
    master: tuple[Master, ...] = ()


@dataclass(frozen=True, slots=True)
class Port:
    """One master of the DDR channel and the roles of the transfers it carries."""

    name: str
    bytes_per_cycle: Positive
    carries: tuple[Role, ...]


@dataclass(frozen=True, slots=True)
class Buffers:
    """Weight buffers: the bytes of one, how many, and what one is loaded with."""

    weight_bytes: Count
    count: Count
    granularity: Granularity


@dataclass(frozen=True, slots=True)
class Queue:
    """Token queues: bytes of an entry (index and score) and how they are laid out."""

    entry_bytes: Natural
    layout: QueueLayout

    def bytes(self, tokens: int, experts: int, top_k: int) -> int:
        """On-chip bytes of all queues of a layer (moe_fpga sheet 2.3; bounds are 2 bytes each)."""
        if self.layout is QueueLayout.DENSE:
            return experts * tokens * self.entry_bytes
        return self.saved_bytes(tokens * top_k, experts)

    def saved_bytes(self, entries: int, experts: int) -> int:
        """Bytes of `entries` side by side and the bounds between the experts, in whatever layout they stood."""
        return entries * self.entry_bytes + (experts + 1) * 2


@dataclass(frozen=True, slots=True)
class Control:
    """What the control unit overlaps outside the experts."""

    dense_loads: DenseLoads


@dataclass(frozen=True, slots=True)
class Number:
    """Bits of a weight and of an activation."""

    weight_bits: Count
    act_bits: Count

    def weight_bytes(self, weights: int) -> int:
        return -(-weights * self.weight_bits // 8)

    def act_bytes(self, values: int) -> int:
        return -(-values * self.act_bits // 8)


@dataclass(frozen=True, slots=True)
class Power:
    """W while the board is on; pJ per MAC, per DRAM byte and per on-chip byte; which of these were fitted or assumed."""

    static_w: NotNegative
    pj_mac: NotNegative
    pj_dram_byte: NotNegative
    pj_sram_byte: NotNegative
    calibrated: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the device has; `lut` is recorded and not modelled."""

    dsp: Count
    lut: Count
