"""Shows a search to whoever looks: its phases, and the best network of each budget so far, on a terminal; nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.text import Text

from edge.search.budget import Budget
from edge.search.frontier import best
from edge.search.trial import Step, Trial
from edge.training import watch as training


class Phase(StrEnum):
    """What a search does, in order."""

    BLOCKS = "time blocks"
    SUPERNET = "train the supernet"
    SEARCH = "search"
    FINAL = "train, export and time what was chosen"


class SearchWatcher:
    """Hears of everything that a search does; this one keeps silent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop watching."""

    def begins(self, phase: Phase) -> None:
        """A phase begins, and the one before it has ended."""

    def says(self, text: str) -> None:
        """Something happened that is worth a line."""

    def training(self, name: str) -> training.Watcher:  # noqa: ARG002
        """Who watches the training of `name`, which is entered and left by the one who trains."""
        return training.Watcher()

    def aims(self, budgets: Sequence[Budget]) -> None:
        """These budgets are to be served."""

    def tried(self, trials: Sequence[Trial]) -> None:
        """These are all the networks that were evaluated so far."""

    def took(self, step: Step) -> None:
        """A step of a path was taken."""


class Terminal(SearchWatcher):
    """A line for each phase, with one that moves below while the search runs.

    A training has a bar of its own; as two things cannot move on one terminal, phases that train show nothing else.
    """

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console, self._clock = console, clock
        self._moving: Status | None = None
        self._began = clock()
        self._phase_began, self._before = self._began, 0
        self._budgets: tuple[Budget, ...] = ()
        self._trials: Sequence[Trial] = ()
        self._steps = 0

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def begins(self, phase: Phase) -> None:
        self._stop()
        self._phase_began, self._before = self._clock(), len(self._trials)
        number = list(Phase).index(phase) + 1
        self._line(f"{self._phase_began - self._began:7.1f} s  {number}/{len(Phase)}  {phase.value}")
        if phase is Phase.SEARCH:
            self.says("ms by the table, right answers to validation pictures with the supernet's weights")
            self._moving = self._console.status(Text(self.words))
            self._moving.start()

    def says(self, text: str) -> None:
        self._line(f"{'':11}{text}")

    def training(self, name: str) -> training.Watcher:
        self._stop()
        self.says(name)
        return training.watcher()

    def aims(self, budgets: Sequence[Budget]) -> None:
        self._budgets = tuple(budgets)

    def tried(self, trials: Sequence[Trial]) -> None:
        self._trials = trials
        self._show()

    def took(self, step: Step) -> None:
        self._steps += 1
        trial = step.trial
        measured = "" if step.measured_ms is None else f" ({step.measured_ms:.3g} on the device)"
        self.says(f"{step.action}: {trial.predicted_ms:.3g} ms{measured}, {trial.evaluation.accuracy:.1%} right")
        self._show()

    @property
    def words(self) -> str:
        """Networks tried and how fast, actions, and how often the best of each budget so far is right."""
        fresh, minutes = len(self._trials) - self._before, (self._clock() - self._phase_began) / 60
        rate = f", {fresh / minutes:.0f} a minute" if fresh and minutes > 0 else ""
        actions = f", {self._steps - 1} actions" if self._steps else ""  # the first step is where the path starts
        return "  ".join((f"{len(self._trials)} tried{rate}{actions}", *map(self._best, self._budgets)))

    def _best(self, budget: Budget) -> str:
        found = best(self._trials, budget)
        return f"{budget.name}: {'–' if found is None else format(found.evaluation.accuracy, '.1%')}"

    def _line(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def _show(self) -> None:
        if self._moving is not None:
            self._moving.update(Text(self.words))

    def _stop(self) -> None:
        if self._moving is not None:
            self._moving.stop()
            self._moving = None


def watcher() -> SearchWatcher:
    """The watcher for this standard error."""
    return Terminal(Console(stderr=True), time.monotonic) if sys.stderr.isatty() else SearchWatcher()
