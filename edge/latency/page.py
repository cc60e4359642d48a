"""A check of a latency table as a page that stands alone: predicted against measured, and every held-out network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from markupsafe import Markup
from matplotlib.figure import Figure

from edge import __version__
from edge.latency.check import CLOSE, Check
from edge.report.page import environment
from edge.report.page import style as page_style
from edge.report.plots import ACCENT, MUTED, SECOND, WIDTH_IN, style, svg


class Compared(Protocol):
    """A prediction beside its measurement, in ms; `error` is a share of the measured time."""

    @property
    def predicted_ms(self) -> float: ...
    @property
    def measured_ms(self) -> float: ...
    @property
    def error(self) -> float: ...


def render(checked: Check) -> str:
    """The page as HTML text; the same check gives the same text."""
    return (
        environment(Path(__file__).parent)
        .get_template("page.html")
        .render(
            facts=checked.fields(),
            setup=checked.tag.setup,
            rows=sorted(checked.rows, key=lambda row: row.measured_ms),
            scatter=Markup(scatter(checked.rows, checked.source)),
            close=CLOSE,
            version=__version__,
            style=page_style(),
        )
    )


def scatter(rows: Sequence[Compared], measured_as: str) -> str:
    """Predicted against measured ms, under the name of their source: the diagonal, and the lines 10 % away from it."""
    most = 1.1 * max(max(row.measured_ms, row.predicted_ms) for row in rows)
    with style():
        figure = Figure(figsize=(WIDTH_IN, WIDTH_IN * 0.85), layout="constrained")
        axes = figure.subplots()
        axes.plot((0, most), (0, most), color=MUTED, linewidth=1)
        for factor in (1 - CLOSE, 1 + CLOSE):
            axes.plot((0, most), (0, factor * most), color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        for colour, apart in ((ACCENT, False), (SECOND, True)):
            some = [row for row in rows if (abs(row.error) > CLOSE) is apart]
            axes.plot(
                [row.measured_ms for row in some],
                [row.predicted_ms for row in some],
                "o",
                color=colour,
                markersize=5,
                alpha=0.8,
            )
        axes.set(xlim=(0, most), ylim=(0, most), xlabel=f"{measured_as}, ms", ylabel="predicted, ms")
        return svg(figure, "predicted-against-measured")
