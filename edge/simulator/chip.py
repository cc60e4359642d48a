"""A chip as a description: clock, arrays, memories, ports and power, read from a TOML file."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from edge.errors import UsageError
from edge.simulator.chip_parts import (
    Activations,
    Arrays,
    Buffers,
    Clock,
    Control,
    Ddr,
    Limits,
    Master,
    Memory,
    Number,
    Port,
    Power,
    Queue,
    Role,
    StreamUnits,
)
from edge.simulator.tables import check, read
from edge.suggest import unknown

MILLI = 1000
"""Rates are whole thousandths of a byte per cycle, so that time stays a whole number of cycles."""


WIDTHS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class Chip:
    """A whole description. `about` says where its numbers come from."""

    name: str
    about: str
    clock: Clock
    array: Arrays
    stream: StreamUnits
    memory: Memory
    ddr: Ddr
    port: tuple[Port, ...]
    buffers: Buffers
    queue: Queue
    control: Control
    precision: Number
    power: Power
    limits: Limits

    def __post_init__(self) -> None:
        """Refuse what cannot be built. Raises `UsageError`."""
        for part in (self.clock, self.array.linear, self.array.attn, self.stream, self.memory, self.ddr, *self.port):
            check(part, f"chip {self.name}")
        for part in (self.buffers, self.queue, self.precision, self.power, self.limits):
            check(part, f"chip {self.name}")
        _check_ports(self)
        _check_masters(self)
        if self.memory.usable_bytes <= 0:
            raise UsageError(
                f"chip {self.name}: reserved_bytes leaves {self.memory.usable_bytes} bytes on chip",
                hint=f"reserve fewer than {self.memory.bram_bytes + self.memory.uram_bytes}",
            )
        if not {self.precision.weight_bits, self.precision.act_bits} <= {*WIDTHS}:
            raise UsageError(f"chip {self.name}: impossible precision", hint=f"bits are one of {WIDTHS}")
        if odd := {*self.power.calibrated} - {*Power.__dataclass_fields__} | {*self.power.calibrated} & {"calibrated"}:
            raise UsageError(f"chip {self.name}: calibrated names {min(odd)!r}", hint="name keys of [power]")
        if self.dsp > self.limits.dsp:
            raise UsageError(
                f"chip {self.name}: the arrays need {self.dsp} DSPs, {self.dsp - self.limits.dsp} more than there are",
                hint="shrink rows, cols, queries or lanes, or raise macs_per_dsp by a lower precision",
            )

    @property
    def dsp(self) -> int:
        """DSPs of the arrays; norms, exponentials and the gate are not counted."""
        attention = 2 * self.array.attn.macs_per_cycle / self.array.attn.macs_per_dsp
        return math.ceil(self.array.linear.macs_per_cycle / self.array.linear.macs_per_dsp + attention)

    @property
    def burst_cycles(self) -> int:
        """Cycles before the first byte of a weight load, rounded up."""
        return math.ceil(round(self.ddr.burst_latency_ns * self.clock.mhz / 1000, 6))

    @property
    def ddr_millibytes(self) -> int:
        """Thousandths of a byte per cycle left to the ports."""
        rate = self.ddr.gbytes_s * 1000 / self.clock.mhz * self.ddr.efficiency
        return round((rate - self.ddr.background_bytes_per_cycle) * MILLI)

    def period_cycles(self, master: Master) -> int:
        """The period of a master of the memory, to the nearest cycle."""
        return round(master.period_us * self.clock.mhz)

    def burst_millibytes(self, master: Master) -> int:
        """Thousandths of a byte per cycle that a master of the memory takes at most."""
        return round(master.bytes_per_cycle * MILLI)

    def port_millibytes(self, port: Port) -> int:
        """Thousandths of a byte per cycle of one port."""
        return round(port.bytes_per_cycle * self.ddr.efficiency * MILLI)

    def port_of(self, role: Role) -> int:
        """The index of the port that carries `role`."""
        return next(index for index, port in enumerate(self.port) if role in port.carries)

    @property
    def weight_millibytes(self) -> int:
        """Thousandths of a byte per cycle of the weight port when nothing else moves."""
        return min(self.port_millibytes(self.port[self.port_of(Role.WEIGHTS)]), self.ddr_millibytes)

    def load_cycles(self, size: int) -> int:
        """Cycles to load `size` bytes of weights when nothing else moves."""
        return self.burst_cycles + -(-size * MILLI // self.weight_millibytes)

    @property
    def break_even_tokens(self) -> float:
        """n*: loads hide behind compute when a queue has at least this many tokens (moe_fpga sheet 2.3)."""
        rate = self.weight_millibytes / MILLI
        return self.array.linear.macs_per_cycle * self.precision.weight_bits / 8 / rate

    def line_bytes(self, tokens: int, dim: int, widest: int) -> int:
        """On-chip bytes of activations: the held queries and a row in and out; two whole activations where they stay."""
        rows = 2 * tokens if self.memory.activations is Activations.ON_CHIP else 2
        return self.precision.act_bytes(self.array.attn.queries * dim + rows * widest)

    def milliseconds(self, cycles: int) -> float:
        return cycles / (self.clock.mhz * 1000)


def _check_ports(chip: Chip) -> None:
    carried = [role for port in chip.port for role in port.carries]
    if twice := [role for role in Role if carried.count(role) > 1]:
        raise UsageError(f"chip {chip.name}: two ports carry {twice[0]}", hint="a role belongs to one port")
    if absent := [role for role in Role if role not in carried]:
        raise UsageError(f"chip {chip.name}: no port carries {absent[0]}", hint=f"carry all of: {', '.join(Role)}")
    if len({port.name for port in chip.port}) < len(chip.port):
        raise UsageError(f"chip {chip.name}: two ports have the same name", hint="name each port differently")
    if chip.ddr_millibytes < MILLI:
        left = max(0, chip.ddr_millibytes) / MILLI
        raise UsageError(
            f"chip {chip.name}: the background leaves {left:.2f} bytes per cycle to the accelerator",
            hint=f"leave at least 1; without it there are {chip.ddr_millibytes / MILLI + chip.ddr.background_bytes_per_cycle:.2f}",
        )
    if min(chip.port_millibytes(port) for port in chip.port) < MILLI // 10:
        raise UsageError(f"chip {chip.name}: a port moves less than 0.1 bytes per cycle", hint="widen it")


def _check_masters(chip: Chip) -> None:
    if len({master.name for master in chip.ddr.master}) < len(chip.ddr.master):
        raise UsageError(f"chip {chip.name}: two masters have the same name", hint="name each differently")
    for master in chip.ddr.master:
        check(master, f"chip {chip.name}: master {master.name}")
        period, rate = chip.period_cycles(master), chip.burst_millibytes(master)
        if rate * period < master.bytes * MILLI:
            raise UsageError(
                f"chip {chip.name}: master {master.name} cannot move {master.bytes} bytes in {period} cycles",
                hint=f"give bytes_per_cycle of at least {math.ceil(master.bytes / max(1, period))}, or a longer period_us",
            )
    taken = sum(master.bytes * MILLI / chip.period_cycles(master) for master in chip.ddr.master)
    if chip.ddr_millibytes - taken < MILLI:
        left = max(0, chip.ddr_millibytes - taken) / MILLI
        raise UsageError(
            f"chip {chip.name}: the masters leave {left:.2f} bytes per cycle to the accelerator",
            hint=f"leave at least 1 of {chip.ddr_millibytes / MILLI:.2f}",
        )


def names() -> tuple[str, ...]:
    """The chips that come with edge, sorted."""
    folder = files("devices") / "chips"
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")))


def chip(name: str) -> Chip:
    """The chip called `name`, or the one of a `.toml` file. Raises `UsageError`."""
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"there is no {name}", hint=f"give a chip file, or one of {', '.join(names())}")
        return parse(path.read_bytes(), path.stem)
    if name not in names():
        raise unknown("chip", name, names())
    return parse((files("devices") / "chips" / f"{name}.toml").read_bytes(), name)


def parse(text: bytes, name: str) -> Chip:
    """The chip that a TOML file describes. Raises `UsageError`."""
    try:
        table = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"chip {name} is not TOML: {error}", hint="see devices/chips/toy.toml") from None
    if "name" in table:
        raise UsageError(f"chip {name}: unknown key 'name'", hint="the file's name is the chip's name")
    return read(Chip, {"name": name, **table}, f"chip {name}")
