"""How a latency is measured soundly: cool first, rounds of runs with the device watched, until the interval is tight."""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.device_state import DeviceInfo, DeviceState
from edge.errors import DeviceError
from edge.measurement import Measurement, Source, interval_is_wide

SAMPLE_EVERY_S = 1.0
"""How often the device is looked at during a round; a look costs it little, though not nothing (devices sheet §4.3)."""
SKIN_C = 40.0
"""A skin temperature above which a round does not start. Ours: phones begin to slow down near it, and say so in no document."""
COOL_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class TimingPlan:
    """How a file is timed.

    `warmup` runs pay for page faults and clock ramp-up and are not counted; then come `runs`. While the interval is wide,
    further rounds are taken as long as they fit into `budget_s`; before the first, a warm device gets `cool_down_s` to cool.
    One round may take `timeout_s`. On devices that start a program for it, `runner` is the user's own, and `keep` leaves what
    was sent there for the next time.
    """

    warmup: int = 5
    runs: int = 50
    timeout_s: float = 600
    threads: int = 1
    budget_s: float = 0
    cool_down_s: float = 60
    runner: Path | None = None
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """One start of a runtime: latencies and start-up in ms, peak memory in kB where it is told.

    Raises `DeviceError` for impossible times.
    """

    samples_ms: tuple[float, ...]
    init_ms: float
    peak_rss_kb: int | None

    def __post_init__(self) -> None:
        wrong = [ms for ms in self.samples_ms if not (math.isfinite(ms) and ms > 0)]
        if wrong or not self.samples_ms:
            what = f"a run of {wrong[0]} ms" if wrong else "no run at all"
            raise DeviceError(
                f"the runner reported {what}", hint="its clock or its output is broken: use another runner"
            )


class Bench(ABC):
    """A file on a device, ready to be run."""

    @abstractmethod
    def round(self, plan: TimingPlan) -> Round:
        """Start the runtime, warm up, run. Raises `DeviceError`, `NotExecutableHereError` or `BadArtifactError`."""

    def state(self) -> DeviceState | None:
        """One look at the device; None where there is nothing to see."""
        return None


@dataclass(frozen=True, slots=True)
class Timed:
    """All samples of all rounds, the start-up of the first, and the states before, during and after."""

    samples_ms: tuple[float, ...]
    init_ms: float
    peak_rss_kb: int | None
    before: DeviceState | None
    during: tuple[DeviceState, ...]
    after: DeviceState | None

    def measurement(
        self, *, device: str, source: Source, runtime: str, threads: int, info: DeviceInfo, precision: str = ""
    ) -> Measurement:
        """With what was timed, and where; `precision` where the file was looked into for it."""
        return Measurement(
            device, source, runtime, threads, self.samples_ms, self.init_ms, self.peak_rss_kb, precision, info,
            self.before, self.during, self.after,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds that only grow, and a way to wait."""

    now_s: Callable[[], float] = time.monotonic
    sleep_s: Callable[[float], None] = time.sleep


def timed(bench: Bench, plan: TimingPlan, clock: Clock = Clock()) -> Timed:
    """Time the file of `bench` by `plan`. Raises what `Bench.round` raises."""
    before = _cooled(bench, plan, clock)
    rounds: list[Round] = []
    started = clock.now_s()
    with _watched(bench) as during:
        while not rounds or _worth_another(rounds, plan, clock.now_s() - started):
            rounds.append(bench.round(plan))
    samples_ms = tuple(sample for each in rounds for sample in each.samples_ms)
    peak_rss_kb = max((each.peak_rss_kb for each in rounds if each.peak_rss_kb is not None), default=None)
    return Timed(samples_ms, rounds[0].init_ms, peak_rss_kb, before, tuple(during), bench.state())


def _worth_another(rounds: list[Round], plan: TimingPlan, spent_s: float) -> bool:
    """Whether the interval is wide and another round, as long as the mean of those before, fits into the budget."""
    if spent_s * (1 + 1 / len(rounds)) > plan.budget_s:
        return False
    return interval_is_wide([sample for each in rounds for sample in each.samples_ms])


def _cooled(bench: Bench, plan: TimingPlan, clock: Clock) -> DeviceState | None:
    """The state in which timing starts: cool, or as it is when the time to cool is over."""
    started = clock.now_s()
    state = bench.state()
    while state is not None and _warm(state) and clock.now_s() - started < plan.cool_down_s:
        clock.sleep_s(COOL_EVERY_S)
        state = bench.state()
    return state


def _warm(state: DeviceState) -> bool:
    skin = [celsius for name, celsius in state.temperatures_c.items() if "skin" in name.lower()]
    return bool(state.thermal_status) or max(skin, default=0.0) > SKIN_C


@contextmanager
def _watched(bench: Bench) -> Iterator[list[DeviceState]]:
    """Look at the device while the block runs; a look that fails is a look not taken."""
    seen: list[DeviceState] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLE_EVERY_S):
            try:
                state = bench.state()
            except DeviceError:  # the round itself reports a device that is gone
                continue
            if state is not None:
                seen.append(state)

    watcher = threading.Thread(target=watch, name="device watcher", daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()
