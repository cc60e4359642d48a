"""A schedule with an urgent task: its frames go first, and may take the chip from a frame that is running."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge.errors import UsageError
from edge.simulator.chip import Chip
from edge.simulator.frames import program
from edge.simulator.policies import Kind, Policy, Prediction
from edge.simulator.preemption import Boundary, Interrupted, interrupted, next_boundary
from edge.simulator.program import Program, Traffic
from edge.simulator.schedule import Arrival, Served
from edge.simulator.timeline import Timeline, timeline
from edge.simulator.workload import Workload


@dataclass(frozen=True, slots=True)
class Cost:
    """What the preemptions of one frame, or of all, took from the frames that were left."""

    preemptions: int = 0
    lost_cycles: int = 0
    context_bytes: int = 0
    reloaded_bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.preemptions + other.preemptions,
            self.lost_cycles + other.lost_cycles,
            self.context_bytes + other.context_bytes,
            self.reloaded_bytes + other.reloaded_bytes,
        )


@dataclass(frozen=True)
class UrgentSchedule:
    """The frames that were served, in the order in which they ended, and what preemption cost."""

    task: str
    boundary: Boundary
    served: tuple[Served, ...]
    cost: Cost

    @property
    def urgent(self) -> tuple[Served, ...]:
        return tuple(frame for frame in self.served if frame.arrival.task == self.task)

    @property
    def others(self) -> tuple[Served, ...]:
        return tuple(frame for frame in self.served if frame.arrival.task != self.task)


def serve_urgent(
    workload: Workload, chip: Chip, policy: Policy, arrivals: Sequence[Arrival], urgent: str, boundary: Boundary
) -> UrgentSchedule:
    """Serve frames in order of arrival, but those of task `urgent` first; with each other they keep their order.

    Periods of masters begin with each frame.

    Raises `UsageError` for an unknown task, arrivals without a time or an urgent frame, and a policy other than expert-reorder
    without predictions.
    """
    workload.routing(urgent)
    if policy.kind is not Kind.EXPERT_REORDER:
        raise UsageError(f"{policy.kind} cannot be preempted", hint=f"urgent frames go with {Kind.EXPERT_REORDER}")
    if policy.prediction is not Prediction.NONE:
        raise UsageError("urgent frames leave no last frame to predict from", hint="leave the prediction out")
    if any(arrival.at_ms is None for arrival in arrivals):
        raise UsageError("urgent frames need arrivals with a time", hint="take poisson:30 or a .csv file")
    if urgent not in {arrival.task for arrival in arrivals}:
        raise UsageError(f"no frame of {urgent} arrives", hint="take more frames, or name it among the tasks")
    programs = {task: program(workload, chip, policy, (task,)) for task in {each.task for each in arrivals}}
    server = _Server(chip, programs, urgent, boundary, arrivals)
    server.serve_all()
    return UrgentSchedule(urgent, boundary, tuple(server.served), server.cost)


class _Server:
    """The state of the chip between two frames."""

    def __init__(
        self, chip: Chip, programs: dict[str, Program], urgent: str, boundary: Boundary, arrivals: Sequence[Arrival]
    ) -> None:
        self._chip, self._boundary, self._urgent = chip, boundary, urgent
        self._alone = {task: timeline(written, chip) for task, written in programs.items()}
        timed = sorted(((self._cycle(each), each) for each in arrivals), key=lambda pair: pair[0])
        self._first = [pair for pair in reversed(timed) if pair[1].task == urgent]  # the next is the last of the list
        self._others = [pair for pair in reversed(timed) if pair[1].task != urgent]
        self._now = 0
        self.served: list[Served] = []
        self.cost = Cost()

    def _cycle(self, arrival: Arrival) -> int:
        return math.ceil((arrival.at_ms or 0.0) * self._chip.clock.mhz * 1000)

    def serve_all(self) -> None:
        while self._first or self._others:
            self._now = max(self._now, min(queue[-1][0] for queue in (self._first, self._others) if queue))
            if self._first and self._first[-1][0] <= self._now:
                at, arrival = self._first.pop()
                running = self._alone[arrival.task]
            else:
                at, arrival = self._others.pop()
                running = self._interrupted(self._alone[arrival.task])
            self._done(at, arrival, self._now, self._now + running.cycles)
            self._now += running.cycles

    def _interrupted(self, frame: Timeline) -> Timeline:
        """`frame` from now on, with every urgent frame that arrives while it runs."""
        running, inside = frame, 0
        before: Interrupted | None = None
        while self._first and self._first[-1][0] < self._now + running.cycles:
            at = self._first[-1][0] - self._now
            if before is not None and at <= before.end:
                cut: int | None = before.last  # one urgent frame waits for the other
            else:
                cut = next_boundary(running, at, self._boundary)
            if cut is None:
                break
            before = interrupted(running, self._alone[self._urgent].program, at=at, cut=cut)
            running, inside = before.timeline, inside + 1
            arrived, arrival = self._first.pop()
            self._done(arrived, arrival, self._now + before.start, self._now + before.end)
        if inside:
            self.cost += self._paid(frame, running, inside)
        return running

    def _paid(self, frame: Timeline, running: Timeline, inside: int) -> Cost:
        lost = running.cycles - frame.cycles - inside * self._alone[self._urgent].cycles
        moved = running.dram_bytes
        return Cost(inside, lost, moved.get(Traffic.CONTEXT, 0), moved.get(Traffic.WASTED, 0))

    def _done(self, arrived: int, arrival: Arrival, start: int, end: int) -> None:
        self.served.append(
            Served(arrival, self._chip.milliseconds(end - arrived), self._chip.milliseconds(start - arrived))
        )
