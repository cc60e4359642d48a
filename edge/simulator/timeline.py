"""A timeline: when each job ran, and everything that can be counted from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from edge.simulator.chip import MILLI, Chip
from edge.simulator.engine import Span, run
from edge.simulator.frames import program
from edge.simulator.policies import Policy
from edge.simulator.program import Job, Program, Traffic, Unit
from edge.simulator.workload import Workload


def simulate(workload: Workload, chip: Chip, policy: Policy, tasks: Sequence[str]) -> Timeline:
    """The timeline of one frame of each of `tasks`, one after another. Raises `UsageError`."""
    return timeline(program(workload, chip, policy, tasks), chip)


def timeline(written: Program, chip: Chip) -> Timeline:
    """The timeline of a program."""
    return Timeline(chip, written, run(written, chip))


@dataclass(frozen=True, slots=True)
class OperationRow:
    """A row of the table of operations.

    `cycles` are those of the frame spent on it, so the rows sum to the frame: its computation, and waiting for its
    weights. `compute_cycles` and `load_cycles` are how long its jobs were busy, side by side with others or not.
    """

    name: str
    count: int
    cycles: int
    compute_cycles: int
    load_cycles: int
    macs: int
    dram_bytes: int


@dataclass(frozen=True, slots=True)
class Stalls:
    """Every cycle by what it was spent on; they sum to the total.

    `compute`: an array works at its rate. `activation`: activations move more slowly than that. `weight`: nothing
    computes until weights arrive. `fill`: latencies of calls, norms and the gate.
    """

    compute: int
    activation: int
    weight: int
    fill: int


@dataclass(frozen=True, slots=True)
class Energy:
    """Millijoules."""

    static: float
    mac: float
    dram: float
    sram: float

    @property
    def total(self) -> float:
        return self.static + self.mac + self.dram + self.sram


@dataclass(frozen=True)
class Timeline:
    """A program on a chip with the span of each job. Equal inputs give equal timelines."""

    chip: Chip
    program: Program
    spans: tuple[Span, ...]

    @cached_property
    def cycles(self) -> int:
        """Cycles from the first job to the end of the last."""
        return max((span.end for span in self.spans), default=0)

    @property
    def latency_ms(self) -> float:
        return self.chip.milliseconds(self.cycles)

    @cached_property
    def frame_cycles(self) -> tuple[int, ...]:
        """Cycles of each frame in the order in which they end: from the end of the frame before it to its own end."""
        ends: dict[int, int] = {}
        for job, span in self._timed:
            ends[job.frame] = max(ends.get(job.frame, 0), span.end)
        ordered = [0, *sorted(ends.values())]
        return tuple(end - start for start, end in pairwise(ordered))

    @property
    def _timed(self) -> list[tuple[Job, Span]]:
        return list(zip(self.program.jobs, self.spans, strict=True))

    @cached_property
    def _computing(self) -> list[tuple[Job, Span]]:
        """Compute jobs in order; they never overlap."""
        return [(job, span) for job, span in self._timed if job.unit is not Unit.LOADER]

    @cached_property
    def dram_bytes(self) -> dict[Traffic, int]:
        """Bytes by class, only the classes that occur."""
        total: defaultdict[Traffic, int] = defaultdict(int)
        for job in self.program.jobs:
            for transfer in job.transfers:
                total[transfer.traffic] += transfer.size
        return {traffic: size for traffic, size in total.items() if size}

    @property
    def macs(self) -> int:
        return sum(job.macs for job in self.program.jobs)

    @cached_property
    def held_bytes(self) -> tuple[tuple[int, int], ...]:
        """(cycle, bytes) at every change of what weight buffers and caches hold; it ends at 0."""
        changes: defaultdict[int, int] = defaultdict(int)
        for hold in self.program.holds:
            changes[self.spans[hold.first].start] += hold.size
            changes[self.spans[hold.last].end] -= hold.size
        level, levels = 0, []
        for cycle in sorted(changes):
            level += changes[cycle]
            levels.append((cycle, level))
        return tuple(levels)

    @property
    def buffer_peak_bytes(self) -> int:
        """The most that weight buffers and caches hold at once."""
        return max((level for _, level in self.held_bytes), default=0)

    @property
    def on_chip_peak_bytes(self) -> int:
        """The most on chip at once: what buffers hold, queues, lines and resident weights."""
        return self.buffer_peak_bytes + self.program.fixed_bytes

    @cached_property
    def stalls(self) -> Stalls:
        compute = sum(job.compute for job, _ in self._computing)
        fill = sum(job.latency for job, _ in self._computing)
        busy = sum(span.end - span.start for _, span in self._computing)
        return Stalls(compute, busy - compute - fill, self.cycles - busy, fill)

    @cached_property
    def utilisation(self) -> dict[str, float]:
        """Share of all cycles in which a unit had a job, and share of its rate at which a port moved bytes."""
        shares = {
            unit.value: sum(span.end - span.start for job, span in self._timed if job.unit is unit) / self.cycles
            for unit in Unit
        }
        for port in self.chip.port:
            moved = sum(
                transfer.size
                for job in self.program.jobs
                for transfer in job.transfers
                if transfer.role in port.carries
            )
            shares[f"port {port.name}"] = moved * MILLI / self.chip.port_millibytes(port) / self.cycles
        return shares

    @property
    def array_utilisation(self) -> float:
        """Share of all cycles in which an array computes at its full rate."""
        return self.stalls.compute / self.cycles

    @cached_property
    def operations(self) -> tuple[OperationRow, ...]:
        """One row per kind of operation, in the order of their first jobs."""
        spent = self._spent()
        rows = []
        for name in dict.fromkeys(job.operation for job in self.program.jobs):
            own = [(job, span) for job, span in self._timed if job.operation == name]
            loads = [span.end - span.start for job, span in own if job.unit is Unit.LOADER]
            busy = [span.end - span.start for job, span in own if job.unit is not Unit.LOADER]
            size = sum(transfer.size for job, _ in own for transfer in job.transfers)
            macs = sum(job.macs for job, _ in own)
            rows.append(OperationRow(name, len(busy or loads), spent[name], sum(busy), sum(loads), macs, size))
        return tuple(rows)

    def _spent(self) -> dict[str, int]:
        """Cycles of the whole by operation: of what computes, else of what loads."""
        spent: defaultdict[str, int] = defaultdict(int)
        loads = [(job, span) for job, span in self._timed if job.unit is Unit.LOADER]
        loading, now = 0, 0
        for job, span in self._computing:
            while now < span.start:  # a gap: loads follow each other on one loader
                load, during = loads[loading]
                if during.end <= now:
                    loading += 1
                    continue
                until = min(during.end, span.start)
                spent[load.operation] += until - now
                now = until
            spent[job.operation] += span.end - span.start
            now = span.end
        return spent

    @property
    def energy(self) -> Energy:
        """Time × board power, MACs, DRAM bytes and on-chip bytes (each DRAM byte in and out once), in millijoules."""
        power, size = self.chip.power, sum(self.dram_bytes.values())
        return Energy(
            static=power.static_w * self.latency_ms,
            mac=power.pj_mac * self.macs / 1e9,
            dram=power.pj_dram_byte * size / 1e9,
            sram=power.pj_sram_byte * 2 * size / 1e9,
        )

    def loads_of(self, operation: str) -> int:
        """How many weight loads an operation made."""
        return sum(job.unit is Unit.LOADER and job.operation == operation for job in self.program.jobs)
