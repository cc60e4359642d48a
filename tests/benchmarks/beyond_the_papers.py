"""The gain of each thing that goes beyond the papers, simulated: `python tests/benchmarks/beyond_the_papers.py [CHIP]`.

The workload is edge-moe: Edge-MoE's network with the recorded routing of its first MoE layer in all six, two tasks.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge.simulator.batching import batching
from edge.simulator.chip import Chip, chip
from edge.simulator.chip_parts import Master
from edge.simulator.masters import service
from edge.simulator.policies import Kind, Policy, policy
from edge.simulator.prediction import drifting, predicting
from edge.simulator.preemption import Boundary
from edge.simulator.schedule import Arrival, nearest_rank
from edge.simulator.timeline import simulate
from edge.simulator.urgent import UrgentSchedule, serve_urgent
from edge.simulator.workload import Routing, Workload, queue_lengths, zipf
from edge.simulator.workloads import workload

FRAMES = 12
"""Frames of a drifting routing, and frames beside masters."""
URGENT = 120
"""Urgent frames, each in a random phase of a chip that always has another frame to compute."""
LINE_1080_US = 1e6 / (60 * 1125)
LINE_2160_US = 1e6 / (60 * 2250)
"""A line of 1080p and of 2160p at 60 Hz, blanking included (CTA-861: 1125 and 2250 lines a frame)."""
MASTERS = {
    "1080p60 display (4 B/px) and camera (2 B/px)": (
        Master("display", 7680, LINE_1080_US, 16),
        Master("camera", 3840, LINE_1080_US, 16),
    ),
    "2160p60 display and camera": (
        Master("display", 15360, LINE_2160_US, 16),
        Master("camera", 7680, LINE_2160_US, 16),
    ),
    "2160p60 display and three cameras": (
        Master("display", 15360, LINE_2160_US, 16),
        *(Master(f"camera {number}", 7680, LINE_2160_US, 16) for number in (1, 2, 3)),
    ),
}


@dataclass(frozen=True)
class Row:
    """A line of the table: what was compared, before and after, and what else there is to know."""

    what: str
    before: str
    after: str
    change: str
    beside: str


def batches(work: Workload, on: Chip, way: Policy) -> Iterator[Row]:
    """Frames of both tasks, and of one task, in batches."""
    both, one = work.task_names, work.task_names[:1]
    for tasks in (both, both * 2, one * 2, one * 4):
        found = batching(work, on, way, tasks)
        cycles = [
            next(row.cycles for row in each.operations if row.name == "experts")
            for each in (found.apart, found.together)
        ]
        hiding, queues = zip(
            *(_hiding(work, split, on.break_even_tokens) for split in ([(task,) for task in tasks], [tasks])),
            strict=True,
        )
        beside = (
            f"queues of n* tokens or more {hiding[0]} of {queues[0]} → {hiding[1]} of {queues[1]}, "
            f"expert loads {found.apart.loads_of('experts')} → {found.together.loads_of('experts')}, cycles of the "
            f"experts {cycles[1] / cycles[0] - 1:+.1%}, first result {on.milliseconds(found.first_frame_delay):+.1f} ms"
        )
        yield Row(
            f"{' + '.join(tasks)} in a batch",
            f"{found.apart.latency_ms:.2f} ms",
            f"{found.together.latency_ms:.2f} ms",
            f"{-found.gain:+.2%}",
            beside,
        )


def _hiding(work: Workload, batches: Sequence[Sequence[str]], enough: float) -> tuple[int, int]:
    """How many queues of the first MoE layer hide the next load, and how many there are."""
    experts = work.network.experts
    merged = [np.concatenate([work.routing(task).layers[0] for task in batch]) for batch in batches]
    lengths = [length for routes in merged for length in queue_lengths(routes, experts) if length]
    return sum(length >= enough for length in lengths), len(lengths)


def predictions(work: Workload, on: Chip, way: Policy) -> Iterator[Row]:
    """Frames whose routing drifts, from a recorded start and from a made-up one."""
    starts: dict[str, Routing] = {"recorded": work.routing("task0"), "zipf 1.2": zipf(work.network, exponent=1.2)}
    for name, start in starts.items():
        for share in (0, 0.1, 0.5, 1):
            drifted = drifting(work.network, start, share=share, exponent=3, frames=FRAMES)
            found = predicting(drifted, on, way, drifted.task_names)
            before, after = (
                on.milliseconds(sum(each.frame_cycles[1:])) / (FRAMES - 1) for each in (found.waiting, found.predicting)
            )
            beside = f"{found.hits} of {found.predictions} hit, {found.wasted_bytes:,} bytes wasted"
            yield Row(
                f"first expert predicted, {name}, {share:.0%} of tokens rerouted a frame",
                f"{before:.3f} ms",
                f"{after:.3f} ms",
                f"{-found.gain:+.2%}",
                beside,
            )


def preemptions(work: Workload, on: Chip, way: Policy) -> Iterator[Row]:
    """Urgent frames of task1 on a chip that always has a frame of task0 to compute."""
    generator = random.Random(0)
    frame_ms = on.milliseconds(simulate(work, on, way, ("task0",)).cycles)
    urgent = [Arrival((4 * turn + generator.random()) * frame_ms, "task1") for turn in range(URGENT)]
    calm = [Arrival(0.0, "task0")] * (4 * URGENT)
    found = {where: serve_urgent(work, on, way, [*calm, *urgent], "task1", where) for where in Boundary}
    for where in (Boundary.EXPERT, Boundary.OPERATION):
        cost = found[where].cost
        each = max(1, cost.preemptions)
        beside = (
            f"{cost.preemptions} preemptions, each costs the other frame {on.milliseconds(cost.lost_cycles) / each:.4f} ms, "
            f"{cost.context_bytes // each:,} bytes of context, {cost.reloaded_bytes // each:,} of weights"
        )
        for name, share in (("p50", 0.5), ("p99", 0.99), ("worst", 1.0)):
            before, after = (_wait(found[way], share) for way in (Boundary.FRAME, where))
            yield Row(
                f"urgent frame waits, left at the end of an {where}, {name}",
                f"{before:.3f} ms",
                f"{after:.3f} ms",
                f"{after / before - 1:+.1%}",
                beside if name == "worst" else "",
            )


def _wait(found: UrgentSchedule, share: float) -> float:
    return nearest_rank([frame.wait_ms for frame in found.urgent], share)


def contention(work: Workload, on: Chip, way: Policy) -> Iterator[Row]:
    """The worst frame beside camera and display, and beside a constant demand of the same mean."""
    frames = work.task_names * (FRAMES // 2)
    free = max(simulate(work, on, way, frames).frame_cycles)
    for name, masters in MASTERS.items():
        busy = replace(on, ddr=replace(on.ddr, master=masters))
        mean = sum(master.bytes / busy.period_cycles(master) for master in masters)
        steady = replace(on, ddr=replace(on.ddr, background_bytes_per_cycle=mean))
        whole = simulate(work, busy, way, frames)
        worst, constant = max(whole.frame_cycles), max(simulate(work, steady, way, frames).frame_cycles)
        late = ", ".join(f"{each.name} {each.late} of {each.bursts} late" for each in service(busy, whole.cycles))
        yield Row(
            f"worst frame beside {name}",
            f"{on.milliseconds(free):.2f} ms",
            f"{on.milliseconds(worst):.2f} ms",
            f"{worst / free - 1:+.2%}",
            f"a constant {mean:.1f} bytes a cycle: {constant / free - 1:+.2%}; {late}",
        )


def main() -> None:
    on, work = chip(sys.argv[1] if len(sys.argv) > 1 else "zcu102_edgemoe"), workload("edge-moe")
    way = policy(on, Kind.EXPERT_REORDER)
    print(
        f"every number is simulated: {work.name} on {on.name}, {way.kind}, {way.buffers} buffers of one {way.granularity}, "
        f"order {way.order}, {on.ddr_millibytes / 1000:.1f} bytes a cycle of memory; break-even queue {on.break_even_tokens:g}"
    )
    print("| what | before | after | change | beside |\n|---|---|---|---|---|")
    for part in (batches, predictions, preemptions, contention):
        for row in part(work, on, way):
            print(f"| {row.what} | {row.before} | {row.after} | {row.change} | {row.beside} |")


if __name__ == "__main__":
    main()
