"""Design points per second of `edge simulate --explore`, beside the event engine on some of the same designs.

`python explore.py [--engine N]` prints, for one Tiny frame on two boards: designs timed per second of wall clock in one
process and in two, per second of processor time in one, the ratio to the engine, and how many points were equal.
"""

from __future__ import annotations

import argparse
import random
import time

from edge.simulator.chip import chip
from edge.simulator.design import space
from edge.simulator.explore import Exploration, explore
from edge.simulator.policies import Kind, policy
from edge.simulator.timeline import simulate
from edge.simulator.workloads import workload

FRAMES = (("edge-moe", "zcu102_edgemoe"), ("m3vit_tiny", "zcu104"))


def engine(found: Exploration, count: int) -> tuple[float, int]:
    """Designs per second of processor time through the event engine, and how many of these had the same cycles."""
    drawn = random.Random(0).sample(found.points, count)
    chips = [point.design.on(found.base) for point in drawn]
    started = time.process_time()
    timelines = [
        simulate(found.workload, on, point.design.policy, (found.task,)) for on, point in zip(chips, drawn, strict=True)
    ]
    seconds = time.process_time() - started
    equal = sum(timeline.cycles == point.cycles for timeline, point in zip(timelines, drawn, strict=True))
    return count / seconds, equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", type=int, default=100, help="designs that the engine runs too")
    count = parser.parse_args().engine
    print(
        f"{'frame':<12}{'board':<16}{'designs':>8}{'one/s':>8}{'two/s':>8}{'cpu/s':>8}{'engine/s':>10}{'ratio':>7}  equal"
    )
    for name, board in FRAMES:
        work, base = workload(name), chip(board)
        task, around = work.task_names[0], space(work.network, base, policy(base, Kind.EXPERT_REORDER))
        started = time.process_time()
        one = explore(work, base, around, task)
        rate = len(one.points) / (time.process_time() - started)
        two = explore(work, base, around, task, processes=2)
        reference, equal = engine(one, count)
        print(
            f"{name:<12}{board:<16}{len(one.points):>8}{one.points_per_second:>8.0f}{two.points_per_second:>8.0f}"
            f"{rate:>8.0f}{reference:>10.1f}{rate / reference:>7.0f}  {equal} of {count}",
            flush=True,
        )


if __name__ == "__main__":
    main()
