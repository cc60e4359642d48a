"""Preemption: an urgent frame takes the chip where the running one can be left, and that one goes on afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from edge.simulator.chip_parts import Role
from edge.simulator.program import Hold, Job, Program, Traffic, Transfer, Unit
from edge.simulator.timeline import Timeline, timeline

OPERATION = "preemption"
"""The row of the table of operations in which contexts are saved and restored."""


class Boundary(StrEnum):
    """Where a running frame can be left: only at its end, at the end of an expert, or of any operation as well."""

    FRAME = "frame"
    EXPERT = "expert"
    OPERATION = "operation"


@dataclass(frozen=True)
class Interrupted:
    """A frame with an urgent one inside it: after job `saved` the chip is its own, and `last` ends it."""

    timeline: Timeline
    saved: int
    last: int

    @property
    def start(self) -> int:
        """The cycle from which on the urgent frame may compute."""
        return self.timeline.spans[self.saved].end

    @property
    def end(self) -> int:
        return self.timeline.spans[self.last].end


def next_boundary(running: Timeline, at: int, boundary: Boundary) -> int | None:
    """The first compute job that ends in cycle `at` or later and after which the chip can turn away, if any does."""
    if boundary is Boundary.FRAME:
        return None
    for index, (job, span) in enumerate(zip(running.program.jobs, running.spans, strict=True)):
        known = job.context_bytes is not None and (boundary is Boundary.OPERATION or job.operation == "experts")
        if known and span.end >= at and index < len(running.spans) - 1:
            return index
    return None


def interrupted(running: Timeline, urgent: Program, *, at: int, cut: int) -> Interrupted:
    """`running` left after its job `cut` for a frame of `urgent` that arrives in cycle `at`.

    The context goes to DRAM and comes back. Weights that were fetched ahead are given up: loads that began before `at`
    run to their end and are made again, the others begin later. The urgent frame finds all weight buffers empty.
    """
    splice = _Splice(running, urgent, at, cut)
    return Interrupted(timeline(splice.program(), running.chip), splice.saved, splice.last)


class _Splice:
    """Puts two programs together; jobs keep their order on each unit."""

    def __init__(self, running: Timeline, urgent: Program, at: int, cut: int) -> None:
        self._running, self._urgent, self._cut = running.program, urgent, cut
        ahead = {hold.first for hold in self._running.holds if hold.first <= cut < hold.last}
        jobs = self._running.jobs
        before = [index for index in range(cut + 1) if index not in ahead]
        self._after = [index for index in range(len(jobs)) if index > cut or index in ahead]
        lost = [index for index in self._after if jobs[index].unit is Unit.LOADER and running.spans[index].start < at]
        self._fill = running.chip.stream.fill
        self._jobs: list[Job] = []
        self._place: dict[int, int] = {}
        self._copy(before, jobs)
        rest = {*self._after}
        self._holds = [self._moved(hold) for hold in self._running.holds if hold.last not in rest]
        self._give_up(lost)
        self._turn_away()
        self._come_back()

    def program(self) -> Program:
        """The whole."""
        return Program(
            tuple(self._jobs),
            tuple(self._holds),
            max(self._running.fixed_bytes, self._urgent.fixed_bytes),
            max(self._running.allocated_bytes, self._urgent.allocated_bytes),
        )

    def _append(self, job: Job) -> int:
        self._jobs.append(job)
        return len(self._jobs) - 1

    def _copy(self, indices: Iterable[int], jobs: tuple[Job, ...], also: dict[Unit, int] | None = None) -> None:
        """Append jobs of the running program; each waits for what it waited for, and for `also` that of its unit."""
        for index in indices:
            job = jobs[index]
            waits = tuple(self._place[earlier] for earlier in job.after)
            self._place[index] = self._append(replace(job, after=(*waits, *([] if also is None else [also[job.unit]]))))

    def _moved(self, hold: Hold) -> Hold:
        return Hold(hold.size, self._place[hold.first], self._place[hold.last])

    def _give_up(self, lost: list[int]) -> None:
        """Weights on their way arrive and stay until the frame is left; no load of the urgent frame comes before."""
        cut, frame = self._place[self._cut], self._running.jobs[self._cut].frame
        given_up = []
        for index in lost:
            job = self._running.jobs[index]
            wasted = tuple(replace(each, traffic=Traffic.WASTED) for each in job.transfers)
            waits = tuple(self._place[earlier] for earlier in job.after)
            given_up.append(self._append(replace(job, after=waits, transfers=wasted)))
        self._released = self._append(Job("release buffers", OPERATION, Unit.LOADER, frame, (cut,)))
        self._holds += [Hold(self._jobs[load].transfers[0].size, load, self._released) for load in given_up]

    def _turn_away(self) -> None:
        """Save the context, then the urgent frame."""
        cut, job = self._place[self._cut], self._running.jobs[self._cut]
        self.saved = self._append(self._context("save context", Role.OUTPUT, (cut,)))
        roots = {unit: self._released if unit is Unit.LOADER else self.saved for unit in Unit}
        offset = len(self._jobs)
        frame = 1 + max(job.frame for job in self._running.jobs)
        for job in self._urgent.jobs:
            waits = (*(earlier + offset for earlier in job.after), roots[job.unit])
            self._append(replace(job, after=waits, frame=frame, context_bytes=None))
        self.last = len(self._jobs) - 1  # a frame ends with a computation
        self._holds += [Hold(hold.size, hold.first + offset, hold.last + offset) for hold in self._urgent.holds]

    def _come_back(self) -> None:
        """Restore the context, then the rest of the running frame."""
        restored = self._append(self._context("restore context", Role.INPUT, (self.last,)))
        waits = {unit: self.last if unit is Unit.LOADER else restored for unit in Unit}
        self._copy(self._after, self._running.jobs, waits)
        rest = {*self._after}
        self._holds += [self._moved(hold) for hold in self._running.holds if hold.last in rest]

    def _context(self, name: str, role: Role, after: tuple[int, ...]) -> Job:
        job = self._running.jobs[self._cut]
        size = job.context_bytes or 0
        moved = (Transfer(role, size, Traffic.CONTEXT),)
        return Job(name, OPERATION, Unit.STREAM, job.frame, after, 0, self._fill if size else 0, 0, moved)
