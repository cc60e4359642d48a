"""The roofline of a frame: MACs per DRAM byte of each operation, the MACs per cycle it reaches, and what bounds it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from edge.simulator.chip import MILLI, Chip
from edge.simulator.program import Job, Program, Unit
from edge.simulator.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Point:
    """One operation with the loads of its weights.

    `cycles` are those of the frame spent on it, waiting for its weights included. `bounds` are the cycles that each
    resource needs for it alone: "compute", "latency", "port NAME" and "DDR".
    """

    name: str
    macs: int
    dram_bytes: int
    cycles: int
    bounds: dict[str, int]

    @property
    def intensity(self) -> float | None:
        """MACs per DRAM byte; None where it has none of one of them."""
        return self.macs / self.dram_bytes if self.macs and self.dram_bytes else None

    @property
    def rate(self) -> float | None:
        """MACs per cycle; None where no cycle of the frame is spent on it alone."""
        return self.macs / self.cycles if self.cycles else None

    @property
    def bound(self) -> str:
        """The resource that needs the most cycles, the first of equals; empty when none needs any."""
        name = max(self.bounds, key=lambda name: self.bounds[name])
        return name if self.bounds[name] else ""

    @property
    def explained(self) -> float:
        """How much of `cycles` the bound needs; above 1 when part of it happens beside another operation."""
        return self.bounds[self.bound] / self.cycles if self.bound and self.cycles else 0.0


@dataclass(frozen=True, slots=True)
class Roofs:
    """Horizontal `compute` roofs in MAC/cycle, sloped `bandwidth` roofs in bytes/cycle, by name."""

    compute: dict[str, int]
    bandwidth: dict[str, float]


def roofs(chip: Chip) -> Roofs:
    """The roofs of a chip; ports of one rate share a roof. The attention array exists twice: this is one of them."""
    ports: defaultdict[float, list[str]] = defaultdict(list)
    for port in chip.port:
        ports[chip.port_millibytes(port) / MILLI].append(port.name)
    alike = len(ports) == 1 < len(chip.port)
    named = {"each port" if alike else f"port {', '.join(names)}": rate for rate, names in ports.items()}
    return Roofs(
        compute={"linear array": chip.array.linear.macs_per_cycle, "attention array": chip.array.attn.macs_per_cycle},
        bandwidth={**named, "DDR": chip.ddr_millibytes / MILLI},
    )


def points(timeline: Timeline) -> tuple[Point, ...]:
    """One point per operation in the order of the frame; the loads of weights count with what waits for them."""
    owner = owners(timeline.program)
    spent: defaultdict[str, int] = defaultdict(int)
    for row in timeline.operations:
        spent[owner[row.name]] += row.cycles
    jobs: dict[str, list[Job]] = {}
    for job in timeline.program.jobs:
        jobs.setdefault(owner[job.operation], []).append(job)
    order = [name for name in dict.fromkeys(owner[row.name] for row in timeline.operations) if name in jobs]
    return tuple(_point(name, jobs[name], spent[name], timeline.chip) for name in order)


def owners(program: Program) -> dict[str, str]:
    """Of each operation the one it counts with: itself, or for a load the operation that waits for it."""
    owner = {job.operation: job.operation for job in program.jobs}
    computed = {job.operation for job in program.jobs if job.unit is not Unit.LOADER}
    for job in program.jobs:
        for earlier in (program.jobs[index] for index in job.after):
            if earlier.unit is Unit.LOADER and job.unit is not Unit.LOADER and earlier.operation not in computed:
                owner[earlier.operation] = job.operation
    return owner


def _point(name: str, jobs: list[Job], cycles: int, chip: Chip) -> Point:
    moved: defaultdict[int, int] = defaultdict(int)
    for job in jobs:
        for transfer in job.transfers:
            moved[chip.port_of(transfer.role)] += transfer.size
    size = sum(moved.values())
    bounds = {
        "compute": sum(job.compute for job in jobs),
        "latency": sum(job.latency for job in jobs if job.unit is not Unit.LOADER),
        **{
            f"port {port.name}": -(-moved[index] * MILLI // chip.port_millibytes(port))
            for index, port in enumerate(chip.port)
        },
        "DDR": -(-size * MILLI // chip.ddr_millibytes),
    }
    return Point(name, sum(job.macs for job in jobs), size, cycles, bounds)
