"""The event engine: a program on a chip to the start and end of every job, in whole cycles, the same every time."""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass

from edge.simulator.chip import Chip
from edge.simulator.memory import Channel
from edge.simulator.program import Job, Program, Unit


@dataclass(frozen=True, slots=True)
class Span:
    """The cycles of a job: start ≤ t < end."""

    start: int
    end: int


def run(program: Program, chip: Chip) -> tuple[Span, ...]:
    """The span of every job of `program`, in its order.

    A job starts when the jobs it waits for have ended and its unit has finished the job before it; so the order on
    each unit is the program's. Time advances from event to event: a latency over, a computation over, a transfer over.
    """
    return _Run(program.jobs, chip).spans()


class _Run:
    """The state of one run."""

    def __init__(self, jobs: tuple[Job, ...], chip: Chip) -> None:
        self._jobs = jobs
        self._channel = Channel(chip)
        self._waits = [len({*job.after}) for job in jobs]
        self._waiting: defaultdict[int, list[int]] = defaultdict(list)
        self._queues: dict[Unit, list[int]] = {unit: [] for unit in Unit}
        for index in reversed(range(len(jobs))):
            self._queues[jobs[index].unit].append(index)  # the next job is the last of the list
            for earlier in {*jobs[index].after}:
                self._waiting[earlier].append(index)
        self._busy: set[Unit] = set()
        self._events: list[tuple[int, int, bool]] = []  # cycle, job, whether its computation is over (not its latency)
        self._parts = [0] * len(jobs)
        self._starts = [0] * len(jobs)
        self._ends = [0] * len(jobs)

    def spans(self) -> tuple[Span, ...]:
        now = 0
        self._start_ready(now)
        while self._events or self._channel.flows:
            coming = [end for end in (self._channel.next_end(),) if end is not None]
            coming += [self._events[0][0]] if self._events else []
            now = min(coming)
            for job in self._channel.advance(now):
                self._part_done(job, now)
            while self._events and self._events[0][0] == now:
                _, job, computed = heapq.heappop(self._events)
                if computed:
                    self._part_done(job, now)
                else:
                    self._begin(job, now)
            self._start_ready(now)
        return tuple(Span(start, end) for start, end in zip(self._starts, self._ends, strict=True))

    def _start_ready(self, now: int) -> None:
        for unit, queue in self._queues.items():
            if queue and unit not in self._busy and not self._waits[queue[-1]]:
                job = queue.pop()
                self._busy.add(unit)
                self._starts[job] = now
                heapq.heappush(self._events, (now + self._jobs[job].latency, job, False))

    def _begin(self, job: int, now: int) -> None:
        self._parts[job] = 1 + self._channel.begin(job, self._jobs[job].transfers)
        heapq.heappush(self._events, (now + self._jobs[job].compute, job, True))

    def _part_done(self, job: int, now: int) -> None:
        self._parts[job] -= 1
        if self._parts[job] == 0:
            self._ends[job] = now
            self._busy.discard(self._jobs[job].unit)
            for later in self._waiting[job]:
                self._waits[later] -= 1
