"""The plots of a search: what was tried, and the path."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edge.report.plots import ACCENT, INK, MUTED, SECOND, WIDTH_IN, style, svg
from edge.search.frontier import frontier
from edge.search.story import Story
from edge.search.trial import Trial

SMALL = 8.5
"""Font size of what is written beside a mark."""


def pareto(story: Story) -> str:
    """Confidence over predicted ms: all trials, the frontier, scaling by hand, budgets, and what was chosen."""
    with style():
        figure = Figure(figsize=(1.6 * WIDTH_IN, 4.4), layout="constrained")
        axes = figure.subplots()
        for budget in story.budgets:
            axes.axvline(budget.ms, color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
            _beside(axes, (budget.ms, 1), budget.name, at=("data", "axes fraction"))
        axes.plot(*_places(story.trials), "o", color=MUTED, markersize=3, alpha=0.45, label="tried")
        axes.step(*_places(frontier(story.trials)), where="post", color=ACCENT, linewidth=1.6, label="nothing beats")
        if story.uniform:
            scaled = sorted((trial for _, trial in story.uniform), key=lambda trial: trial.predicted_ms)
            axes.plot(*_places(scaled), "s--", color=SECOND, markersize=4, linewidth=1.3, label="uniform scaling")
        if story.members:
            axes.plot(*_places(story.members.values()), "D", color=INK, markersize=5, linestyle="", label="hand-made")
            for name, trial in story.members.items():
                _beside(axes, (trial.predicted_ms, 100 * trial.evaluation.confidence), name, by=(0, -12))
        chosen = [each for budget in story.budgets if (each := story.chosen(budget)) is not None]
        axes.plot(*_places(chosen), "*", color=ACCENT, markersize=13, label="chosen", zorder=5)
        axes.set(xlabel="predicted, ms", ylabel="confidence, %")
        figure.legend(frameon=False, loc="outside lower center", ncols=5, fontsize=9, labelcolor=INK, columnspacing=1)
        return svg(figure, "pareto")


def path(story: Story) -> str:
    """Two lines over the actions: latency with the budgets above, confidence and accuracy below."""
    numbers = range(len(story.steps))
    trials = [step.trial for step in story.steps]
    anchors = [(number, step.measured_ms) for number, step in enumerate(story.steps) if step.measured_ms is not None]
    with style():
        figure = Figure(figsize=(1.6 * WIDTH_IN, 4.4), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        for budget in story.budgets:
            above.axhline(budget.ms, color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
            _beside(above, (1, budget.ms), budget.name, at=("axes fraction", "data"), by=(4, -3), align="left")
        above.step(
            numbers,
            [trial.predicted_ms for trial in trials],
            where="mid",
            color=ACCENT,
            linewidth=1.6,
            label="predicted",
        )
        above.plot(
            *zip(*anchors, strict=True), "o", color=SECOND, markersize=6, label=story.measured_as
        ) if anchors else None
        above.set_ylim(bottom=0)
        above.set_ylabel("ms")
        evaluations = [trial.evaluation for trial in trials]
        below.plot(
            numbers, [100 * each.accuracy for each in evaluations], color=SECOND, linewidth=1.4, label="accuracy"
        )
        below.plot(
            numbers, [100 * each.confidence for each in evaluations], color=ACCENT, linewidth=1.6, label="confidence"
        )
        below.set(xlabel="actions taken", ylabel="%")
        below.xaxis.get_major_locator().set_params(integer=True)
        for axes in (above, below):
            axes.legend(frameon=False, loc="lower left", fontsize=9, labelcolor=INK)
        return svg(figure, "path")


def _places(trials: Iterable[Trial]) -> tuple[list[float], list[float]]:
    found = [*trials]
    return [trial.predicted_ms for trial in found], [100 * trial.evaluation.confidence for trial in found]


def _beside(
    axes: Axes,
    place: tuple[float, float],
    text: str,
    *,
    at: tuple[str, str] = ("data", "data"),
    by: tuple[float, float] = (0, 3),
    align: str = "center",
) -> None:
    axes.annotate(text, place, xycoords=at, xytext=by, textcoords="offset points", ha=align, size=SMALL, color=MUTED)
