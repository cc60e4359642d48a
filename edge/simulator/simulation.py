"""What `edge simulate` reports: one frame in detail, the cost of a switch, and a schedule of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edge.simulator.chip import Chip
from edge.simulator.masters import without_masters
from edge.simulator.policies import Policy
from edge.simulator.schedule import Arrival, Served, percentile, serve
from edge.simulator.timeline import Timeline, simulate
from edge.simulator.workload import Routing, Workload


@dataclass(frozen=True, eq=False)
class FrameCosts:
    """What a frame costs after another. Tasks with one routing cost the same, so each pair of routings runs once."""

    workload: Workload
    chip: Chip
    policy: Policy
    _known: dict[tuple[Routing, Routing, bool], int] = field(default_factory=dict)

    def cycles(self, before: str, task: str) -> int:
        """Cycles of a frame of `task` after one of `before`. Raises `UsageError`."""
        key = (self.workload.routing(before), self.workload.routing(task), before == task)
        if key not in self._known:
            timeline = simulate(self.workload, self.chip, self.policy, (before, task))
            self._known[key] = timeline.frame_cycles[1]
        return self._known[key]

    def switch_overhead(self, before: str, task: str) -> int:
        """Cycles of a frame of `task` after one of `before`, minus those after one of its own (moe_fpga sheet 4.4)."""
        return self.cycles(before, task) - self.cycles(task, task)


@dataclass(frozen=True, eq=False)
class Simulation:
    """`timeline` is a frame of the first task alone; `switch_overhead` the largest of the switches from task to next task."""

    workload: Workload
    chip: Chip
    policy: Policy
    tasks: tuple[str, ...]
    timeline: Timeline
    switch_overhead: int
    served: tuple[Served, ...]

    def fields(self) -> dict[str, Any]:
        """The JSON fields of the command-line contract, and more beside them."""
        timeline = self.timeline
        return {
            "workload": self.workload.name,
            "chip": self.chip.name,
            "policy": self.policy.kind.value,
            "settings": asdict(self.policy),
            "source": "simulated",
            "task": self.tasks[0],
            "routing": self.workload.routing(self.tasks[0]).origin,
            "cycles": timeline.cycles,
            "latency_ms": timeline.latency_ms,
            "ops": [{**asdict(row), "ms": self.chip.milliseconds(row.cycles)} for row in timeline.operations],
            "macs": timeline.macs,
            "dram_bytes": {traffic.value: size for traffic, size in timeline.dram_bytes.items()},
            "on_chip_peak_bytes": timeline.on_chip_peak_bytes,
            "buffer_peak_bytes": timeline.buffer_peak_bytes,
            "on_chip_bytes": self.chip.memory.usable_bytes,
            "energy_mj": {**asdict(timeline.energy), "total": timeline.energy.total},
            "energy_calibrated": list(self.chip.power.calibrated),
            "stalls": asdict(timeline.stalls),
            "switch_overhead_cycles": self.switch_overhead,
            "utilisation": timeline.array_utilisation,
            "unit_utilisation": timeline.utilisation,
            "break_even_tokens": self.chip.break_even_tokens,
            "frames": len(self.served),
            "p50_ms": percentile(self.served, 0.5),
            "p99_ms": percentile(self.served, 0.99),
            "deadline_misses": sum(frame.missed for frame in self.served),
        }


def simulation(
    workload: Workload, chip: Chip, policy: Policy, tasks: Sequence[str], arrivals: Sequence[Arrival]
) -> Simulation:
    """Simulate a frame of the first of `tasks`, the switches between them, and the frames of a schedule.

    Raises `UsageError` when the design does not fit or a task is unknown.
    """
    for task in tasks:
        workload.routing(task)
    costs = FrameCosts(workload, chip, policy)
    calm = FrameCosts(
        workload, without_masters(chip), policy
    )  # in which phase a frame meets them is no cost of a switch
    switches = zip(tasks, [*tasks[1:], tasks[0]], strict=True)
    return Simulation(
        workload=workload,
        chip=chip,
        policy=policy,
        tasks=tuple(tasks),
        timeline=simulate(workload, chip, policy, tasks[:1]),
        switch_overhead=max(calm.switch_overhead(before, task) for before, task in switches),
        served=serve(arrivals, lambda before, task: chip.milliseconds(costs.cycles(before, task))),
    )
