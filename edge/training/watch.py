"""Shows a training to whoever looks: a bar with loss and accuracy on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from edge.training.record import EpochMetrics


class Watcher:
    """Hears of every step and every epoch; this one keeps silent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop watching."""

    def starts(self, steps: int, done: int) -> None:
        """Training goes on after `done` of all `steps`."""

    def stepped(self, loss: float) -> None:
        """One batch was learned."""

    def measured(self, metrics: EpochMetrics) -> None:
        """One epoch has ended."""

    def rolled_back(self, epoch: int, lr: float) -> None:
        """The loss was no number in this epoch, counted from 1: it begins again, and the rate of the run is `lr` now."""


class Lines(Watcher):
    """One line on standard error for what must not go unseen."""

    def rolled_back(self, epoch: int, lr: float) -> None:
        print(_rolled_back(epoch, lr), file=sys.stderr)


class Terminal(Watcher):
    """A bar on standard error."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("training", total=None)
        self._words = ""

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def starts(self, steps: int, done: int) -> None:
        self._bar.update(self._task, total=steps, completed=done)

    def stepped(self, loss: float) -> None:
        self._bar.update(self._task, advance=1, description=f"loss {loss:.3f}{self._words}")

    def measured(self, metrics: EpochMetrics) -> None:
        self._words = f"  {metrics.words}"
        self._bar.print(
            f"epoch {metrics.epoch:>3}  loss {metrics.train_loss:.4f}  {metrics.words}  {metrics.seconds:.1f} s"
        )

    def rolled_back(self, epoch: int, lr: float) -> None:
        self._bar.print(_rolled_back(epoch, lr))


def watcher() -> Watcher:
    """The watcher for this standard error."""
    return Terminal() if sys.stderr.isatty() else Lines()


def _rolled_back(epoch: int, lr: float) -> str:
    return f"the loss became no number in epoch {epoch}: it begins again from the last good weights, with --lr {lr:g}"
