"""The plots of a report, as SVG that takes its colours and its font from the page around it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from edge.measurement import Source
from edge.report.facts import Epoch, FileFacts, Latency

INK, MUTED, GRID, ACCENT, SECOND = "#010101", "#020202", "#030303", "#040404", "#050505"
COLOURS = {INK: "--ink", MUTED: "--muted", GRID: "--line", ACCENT: "--accent", SECOND: "--second"}
"""Stand-ins for the page's own colours, so that a plot follows the page into dark mode."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text, in the page's font
    "text.parse_math": False,
    "font.size": 10.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 10,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.major.size": 0,
}
WIDTH_IN = 4.8  # 72 units an inch in the SVG: a plot is drawn about 1:1 on a phone, and its text stays readable
ROW_IN = 0.36
TICKS = 5


def sizes(files: Sequence[FileFacts]) -> str:
    """Bars: the bytes of each file, in the unit that suits the largest."""
    largest = max(file.bytes for file in files)
    unit, name = (1e6, "MB") if largest >= 1e6 else (1e3, "kB")
    with style():
        figure, axes = _rows([file.called for file in files])
        axes.barh(range(len(files)), [file.bytes / unit for file in files], height=0.55, color=ACCENT)
        for row, file in enumerate(files):
            _beside(axes, file.bytes / unit, row, f"{file.bytes / unit:.3g} {name}")
        axes.set_xlim(0, 1.3 * max(largest, 1) / unit)
        axes.set_xlabel(name)
        return svg(figure, "sizes")


def latencies(files: Sequence[FileFacts]) -> str:
    """Dots with bars: the median and its 95 % interval in ms, for the files that were timed. Empty when none was."""
    timed = [(file.called, file.latency) for file in files if file.latency is not None]
    if not timed:
        return ""
    with style():
        figure, axes = _rows([target for target, _ in timed])
        for row, (_, latency) in enumerate(timed):
            axes.plot(
                (latency.low_ms, latency.high_ms),
                (row, row),
                color=ACCENT,
                linewidth=5,
                alpha=0.35,
                solid_capstyle="butt",
            )
            axes.plot(latency.median_ms, row, "o", color=ACCENT, markersize=6)
            _beside(axes, max(latency.high_ms, latency.median_ms), row, _said(latency))
        axes.set_xlim(0, max(latency.high_ms for _, latency in timed) * 1.35)
        axes.set_xlabel("ms per picture, one thread")
        return svg(figure, "latencies")


def errors(files: Sequence[FileFacts]) -> str:
    """Dots on a scale of tens: each file's error against PyTorch, and the tick beyond which it fails. Empty when none ran."""
    ran = [(file, file.relative_error) for file in files if file.relative_error is not None]
    if not ran:
        return ""
    smallest = 1e-8  # below what float32 can tell apart; an exact file is drawn here
    with style():
        figure, axes = _rows([file.called for file, _ in ran])
        axes.set_xscale("log")
        for row, (file, error) in enumerate(ran):
            axes.plot(max(error, smallest), row, "o", color=ACCENT, markersize=6)
            bound = error if file.allowed_error is None else file.allowed_error
            axes.plot((max(bound, smallest),) * 2, (row - 0.35, row + 0.35), color=SECOND, linewidth=2)
            _beside(axes, max(error, bound, smallest), row, f"{error:.1e}" if error else "exact")
        lowest, highest = axes.dataLim.intervalx
        axes.set_xlim(lowest / 3, highest * 30)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0e}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("largest error ÷ spread of the output")
        return svg(figure, "errors")


def training(epochs: Sequence[Epoch]) -> str:
    """Two lines over the epochs: the training loss above, the held-out accuracy below. Empty without epochs."""
    if not epochs:
        return ""
    judged = [(epoch.number, 100 * epoch.accuracy) for epoch in epochs if epoch.accuracy is not None]
    with style():
        figure = Figure(figsize=(WIDTH_IN, 2.9), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        above.plot([epoch.number for epoch in epochs], [epoch.train_loss for epoch in epochs], color=SECOND)
        above.set_ylabel("training loss")
        below.plot([number for number, _ in judged], [share for _, share in judged], color=ACCENT)
        below.set_ylabel("accuracy, %")
        below.set_xlabel("epoch")
        for number, share in judged[-1:]:
            below.annotate(
                f"{share:.2f}", (number, share), xytext=(0, -8), textcoords="offset points", ha="right", va="top"
            )
        below.xaxis.get_major_locator().set_params(integer=True)
        return svg(figure, "training")


def style() -> AbstractContextManager[None]:
    """Our style on top of matplotlib's own, whatever the user's matplotlibrc says."""
    return mpl.rc_context({**mpl.rcParamsDefault, **STYLE})


def _rows(names: Sequence[str]) -> tuple[Figure, Axes]:
    """A figure and its axes, with one named row per file, the first on top."""
    figure = Figure(figsize=(WIDTH_IN, 0.65 + ROW_IN * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(TICKS))
    return figure, axes


def _beside(axes: Axes, value: float, row: int, text: str) -> None:
    axes.annotate(text, (value, row), xytext=(7, 0), textcoords="offset points", va="center", size=10)


def svg(figure: Figure, name: str) -> str:
    """The figure as an `<svg>` element: no date, no program, the same bytes for the same values."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):  # ids of two plots on one page must differ
        figure.savefig(
            buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    text = buffer.getvalue()
    for stand_in, variable in COLOURS.items():
        text = text.replace(stand_in, f"var({variable})")
    return text[text.index("<svg") :]


def _said(latency: Latency) -> str:
    """The median, and where it came from unless it was measured."""
    origin = "" if latency.source is Source.MEASURED else f" ({latency.source.value})"
    return f"{latency.median_ms:.3g} ms{origin}"
