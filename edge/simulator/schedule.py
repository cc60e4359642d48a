"""Frames over time: who arrives when, first come first served, and how long each waits."""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.errors import UsageError
from edge.suggest import unknown

MOST_FRAMES = 1_000_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame that is wanted: when it arrives, or as soon as the one before it is done (None); its deadline, if any.

    The deadline counts from the arrival. All in ms.
    """

    at_ms: float | None
    task: str
    deadline_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """A frame that was computed: its latency counts from the arrival and includes the wait until it begins."""

    arrival: Arrival
    latency_ms: float
    wait_ms: float

    @property
    def missed(self) -> bool:
        deadline = self.arrival.deadline_ms
        return deadline is not None and self.latency_ms > deadline


def serve(arrivals: Sequence[Arrival], frame_ms: Callable[[str, str], float]) -> tuple[Served, ...]:
    """Serve frames in order of arrival; `frame_ms(before, task)` is the time of a frame of `task` after one of `before`."""
    free_ms, before, served = 0.0, "", []
    for arrival in arrivals:
        arrived = free_ms if arrival.at_ms is None else arrival.at_ms
        wait_ms = max(free_ms, arrived) - arrived
        free_ms = max(free_ms, arrived) + frame_ms(before or arrival.task, arrival.task)
        before = arrival.task
        served.append(Served(arrival, free_ms - arrived, wait_ms))
    return tuple(served)


def percentile(served: Sequence[Served], share: float) -> float:
    """The smallest latency in ms that at least `share` of the frames do not exceed (nearest rank)."""
    return nearest_rank([frame.latency_ms for frame in served], share)


def nearest_rank(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that at least `share` of them do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def schedule(
    text: str, tasks: Sequence[str], *, frames: int, deadline_ms: float | None, seed: int
) -> tuple[Arrival, ...]:
    """The arrivals that `text` names: `round-robin`, `poisson:RATE` (frames per second), or a CSV file.

    `frames` of them, but for a file, which has its own number. Raises `UsageError`.
    """
    if deadline_ms is not None and not 0 <= deadline_ms < math.inf:
        raise UsageError(f"a deadline of {deadline_ms} ms is impossible", hint="give milliseconds, 0 or more")
    kind, _, argument = text.partition(":")
    if kind == "round-robin" and not argument:
        return tuple(Arrival(None, tasks[turn % len(tasks)], deadline_ms) for turn in range(frames))
    if kind == "poisson":
        return _poisson(argument, tasks, frames, deadline_ms, random.Random(seed))
    if text.endswith(".csv"):
        return _from_file(Path(text), tasks, deadline_ms)
    raise UsageError(f"no schedule called {text!r}", hint="write round-robin, poisson:30, or a .csv file")


def _poisson(
    argument: str, tasks: Sequence[str], frames: int, deadline_ms: float | None, generator: random.Random
) -> tuple[Arrival, ...]:
    try:
        rate = float(argument)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise UsageError(f"{argument!r} is not a rate", hint="write poisson:30 for 30 frames per second")
    now_ms, arrivals = 0.0, []
    for _ in range(frames):
        now_ms += generator.expovariate(rate) * 1000
        arrivals.append(Arrival(now_ms, generator.choice(tasks), deadline_ms))
    return tuple(arrivals)


def _from_file(path: Path, tasks: Sequence[str], deadline_ms: float | None) -> tuple[Arrival, ...]:
    """Columns time_ms and task, and deadline_ms if wanted; sorted by time."""
    if not path.is_file():
        raise UsageError(f"there is no {path}", hint="give a CSV file with columns time_ms,task[,deadline_ms]")
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is not CSV: {error}", hint="columns time_ms,task[,deadline_ms]") from None
    if not rows or not {"time_ms", "task"} <= {*rows[0]}:
        raise UsageError(f"{path} has no frames", hint="give columns time_ms,task[,deadline_ms] and a row per frame")
    if len(rows) > MOST_FRAMES:
        raise UsageError(f"{path} has {len(rows)} frames", hint=f"give at most {MOST_FRAMES}")
    arrivals = [_arrival(row, f"{path}, row {number}", tasks, deadline_ms) for number, row in enumerate(rows, start=1)]
    return tuple(sorted(arrivals, key=lambda arrival: arrival.at_ms or 0.0))


def _arrival(row: dict[str, str], where: str, tasks: Sequence[str], deadline_ms: float | None) -> Arrival:
    task, own = (row["task"] or "").strip(), row.get("deadline_ms") or ""
    if task not in tasks:
        raise unknown("task", task, tasks)
    at_ms = _time(row["time_ms"], f"{where}: time_ms")
    return Arrival(at_ms, task, _time(own, f"{where}: deadline_ms") if own else deadline_ms)


def _time(text: str | None, where: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise UsageError(f"{where} is {text!r}", hint="give milliseconds, 0 or more")
    return value
