"""The page about the experts of a trained network: who uses which, how evenly, and how alike the tasks are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from edge.dense.utilisation import Utilisation
from edge.report.page import environment
from edge.report.page import style as page_style
from edge.report.plots import ACCENT, INK, MUTED, WIDTH_IN, style, svg

CELL_IN = 0.3


def render(name: str, used: Utilisation, pictures: int) -> str:
    """The page as HTML text that stands alone; `pictures` were counted."""
    layers = range(used.visits.shape[1])
    return environment(Path(__file__).parent).get_template("routing_page.html").render(
        name=name,
        used=used,
        pictures=pictures,
        shares=[Markup(shares(used, layer)) for layer in layers],
        overlap=Markup(overlap(used)) if len(used.tasks) > 1 else "",
        style=page_style(),
    )  # fmt: skip


def shares(used: Utilisation, layer: int) -> str:
    """A row per task, a column per expert: percent of the task's visits, darker for more."""
    return _heat_map(100 * used.shares[:, layer], used.tasks, range(used.visits.shape[2]), "expert", f"shares-{layer}")


def overlap(used: Utilisation) -> str:
    """Two tasks' likeness in percent, mean over the layers."""
    return _heat_map(100 * used.overlap.mean(axis=0), used.tasks, used.tasks, "", "overlap")


def _heat_map(
    values: NDArray[np.float64], rows: tuple[str, ...], columns: Sequence[object], label: str, name: str
) -> str:
    names = [str(column) for column in columns]
    with style():
        figure = Figure(figsize=(WIDTH_IN, 0.7 + CELL_IN * len(rows)), layout="constrained")
        axes = figure.subplots()
        axes.grid(visible=False)
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_xlabel(label)
        for (row, column), value in np.ndenumerate(values):
            _cell(axes, row, column, value, float(values.max()))
        return svg(figure, name)


def _cell(axes: Axes, row: int, column: int, percent: float, most: float) -> None:
    box = Rectangle((column - 0.48, row - 0.46), 0.96, 0.92, facecolor=ACCENT, linewidth=0)
    box.set_alpha(0.75 * percent / most)
    axes.add_patch(box)
    ink = INK if percent else MUTED
    said = axes.text(column, row, f"{percent:.0f}" if percent else "–", ha="center", va="center", size=7.5, color=ink)
    said.set_in_layout(False)  # it lies inside its box
