"""A profile as one HTML page that stands alone: the runs one by one, the device meanwhile, and where the time goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup
from matplotlib.figure import Figure

from edge import __version__
from edge.measurement import Measurement
from edge.operator_times import OperatorTime, by_type, outside_delegates
from edge.report.page import environment, style
from edge.report.plots import ACCENT, GRID, ROW_IN, SECOND, WIDTH_IN, svg
from edge.report.plots import style as plot_style

MOST_TYPES = 16
"""Bars; what is left is drawn as one."""


def render(
    file: str, measured: Measurement, operators: Sequence[OperatorTime], reference: Sequence[OperatorTime]
) -> str:
    """The page as HTML text. `operators` of the file and of its PyTorch model (`reference`) may be empty."""
    lists = (("Operators", operators), ("Operators in PyTorch, called one by one", reference))
    figures = [("Each run", "in order; the band is the 95 % interval of the median", _runs(measured))]
    if any(state.clocks_khz for state in measured.during):
        figures.append(("Fastest clock", "GHz, while it ran", _clocks(measured)))
    figures += [(name, "ms by type; dark: by a delegate", _bars(name, each)) for name, each in lists if each]
    return environment(Path(__file__).parent).get_template("profile.html").render(
        file=file,
        measured=measured,
        figures=[(title, caption, Markup(drawing)) for title, caption, drawing in figures],
        tables=[(name, sum(each.ms for each in rows), outside_delegates(rows), rows) for name, rows in lists if rows],
        version=__version__,
        style=style(),
    )  # fmt: skip


def _runs(measured: Measurement) -> str:
    with plot_style():
        figure = Figure(figsize=(WIDTH_IN, 2.4), layout="constrained")
        axes = figure.subplots()
        axes.axhspan(*measured.ci95_ms, color=SECOND, alpha=0.3)
        axes.plot(range(1, len(measured.samples_ms) + 1), measured.samples_ms, ".", color=ACCENT, markersize=4)
        axes.set_ylim(0, max(measured.samples_ms) * 1.05)
        axes.set_xlabel("run")
        axes.set_ylabel("ms")
        return svg(figure, "runs")


def _clocks(measured: Measurement) -> str:
    seen = [state for state in measured.during if state.clocks_khz]
    with plot_style():
        figure = Figure(figsize=(WIDTH_IN, 1.8), layout="constrained")
        axes = figure.subplots()
        times = [state.at_s - seen[0].at_s for state in seen]
        axes.plot(times, [max(state.clocks_khz) / 1e6 for state in seen], color=ACCENT, marker=".")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("s")
        return svg(figure, "clocks")


def _bars(name: str, operators: Sequence[OperatorTime]) -> str:
    """One row per type, the dearest on top: what delegates run dark, the rest light."""
    types = by_type(operators)
    rows, rest = list(types.items())[:MOST_TYPES], list(types.items())[MOST_TYPES:]
    if rest:
        rows.append((f"{len(rest)} others", (sum(a for _, (a, _) in rest), sum(b for _, (_, b) in rest))))
    with plot_style():
        figure = Figure(figsize=(WIDTH_IN, 0.65 + ROW_IN * len(rows)), layout="constrained")
        axes = figure.subplots()
        inside, outside = [row[1][0] for row in rows], [row[1][1] for row in rows]
        axes.barh(range(len(rows)), inside, height=0.55, color=ACCENT)
        axes.barh(range(len(rows)), outside, left=inside, height=0.55, color=SECOND, edgecolor=GRID)
        axes.set_yticks(range(len(rows)), [row[0] for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("ms")
        return svg(figure, name)
