"""The drawings of a simulation: the roofline, latencies under a schedule, and the line of the memory ratio."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from edge.report.plots import ACCENT, INK, MUTED, SECOND, WIDTH_IN, style, svg
from edge.simulator.claims import CacheFit, baseline_experts
from edge.simulator.roofline import Point, Roofs
from edge.simulator.schedule import Served

STEPS = 400
"""Points of a distribution; a schedule may have a million frames."""

MOST_DEADLINES = 3
"""A file may give each frame its own; so many are drawn at most, else none."""

DASHES = ("--", ":", "-.", "-")


def roofline(points: Sequence[Point], roofs: Roofs) -> str:
    """MAC/cycle against MACs per DRAM byte, both on scales of tens. Empty when no operation has both."""
    placed = [(point.intensity, point.rate, str(number)) for number, point in enumerate(points, start=1)]
    known = [(x, y, label) for x, y, label in placed if x and y]
    if not known:
        return ""
    highest = max(roofs.compute.values())
    left = min(x for x, _, _ in known) / 4
    right = 4 * max([highest / min(roofs.bandwidth.values()), *(x for x, _, _ in known)])
    lowest = min([*(y for _, y, _ in known), *roofs.compute.values()]) / 4
    with style():
        figure = Figure(figsize=(2 * WIDTH_IN, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(lowest, 3 * highest))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set(xlabel="MACs per DRAM byte", ylabel="MAC per cycle")
        for name, rate in roofs.compute.items():
            axes.plot((left, right), (rate, rate), color=INK, linewidth=1.2)
            axes.annotate(f"{name}, {rate}", (right, rate), xytext=(-2, 3), textcoords="offset points", ha="right")
        for (name, slope), dashes in zip(roofs.bandwidth.items(), cycle(DASHES), strict=False):
            ends = left, highest / slope
            label = f"{name}, {slope:.4g} bytes per cycle"
            axes.plot(ends, [slope * x for x in ends], color=SECOND, linewidth=1.2, linestyle=dashes, label=label)
        axes.legend(frameon=False, loc="lower right", fontsize=9, labelcolor=INK)
        _numbered(axes, known)
        return svg(figure, "roofline")


def latencies(served: Sequence[Served], marks: dict[str, tuple[float, float]], deadlines: Iterable[float]) -> str:
    """The share of frames that took at most so many ms, per task and in all; `marks` are named (share, ms)."""
    tasks = list(dict.fromkeys(frame.arrival.task for frame in served))
    with style():
        figure = Figure(figsize=(WIDTH_IN, 2.9), layout="constrained")
        axes = figure.subplots()
        if len(tasks) > 1:
            for task in tasks:
                own = [frame.latency_ms for frame in served if frame.arrival.task == task]
                axes.step(*_shares(own), where="post", color=MUTED, linewidth=0.9, alpha=0.6)
        axes.step(*_shares([frame.latency_ms for frame in served]), where="post", color=ACCENT, linewidth=2)
        for name, (share, value) in marks.items():
            axes.plot(value, share, "o", color=ACCENT, markersize=5, label=f"{name} {value:.4g} ms")
        known = sorted(set(deadlines))
        for value in known if len(known) <= MOST_DEADLINES else ():
            axes.axvline(value, color=SECOND, linewidth=1.4, label=f"deadline {value:.4g} ms")
        figure.legend(frameon=False, loc="outside upper left", ncols=2, fontsize=9, labelcolor=INK)
        axes.set(ylim=(0, 1.04), xlabel="ms from arrival to the end of the frame", ylabel="share of frames")
        axes.margins(x=0.12)
        return svg(figure, "latencies")


def memory_line(fit: CacheFit) -> str:
    """Experts in the baseline's cache against X/W: the line on which the memory ratio is 2.4, and a design's place."""
    furthest = max(9.0, 1.25 * fit.other_per_expert)
    with style():
        figure = Figure(figsize=(WIDTH_IN, 2.9), layout="constrained")
        axes = figure.subplots()
        ends = 0.0, furthest
        axes.plot(ends, [baseline_experts(x) for x in ends], color=INK, linewidth=1.2)
        axes.axhline(fit.experts, color=SECOND, linewidth=1.2)
        axes.annotate(
            f"all {fit.experts} experts of a layer",
            (0, fit.experts),
            xytext=(6, -5),
            textcoords="offset points",
            va="top",
            color=SECOND,
        )
        axes.plot(fit.other_per_expert, fit.cached, "o", color=ACCENT, markersize=7)
        axes.annotate(
            f"here: {fit.cached:.3g}", (fit.other_per_expert, fit.cached), xytext=(9, -9), textcoords="offset points"
        )
        axes.set(xlim=(0, furthest), ylim=(0, None))
        axes.set(xlabel="X/W: the rest on chip, in experts", ylabel="experts cached by the baseline")
        return svg(figure, "memory-line")


def _shares(values: list[float]) -> tuple[list[float], list[float]]:
    """The steps of the distribution: values in order, and the share of frames up to each; at most `STEPS`."""
    ordered = sorted(values)
    picked = sorted({round(step * (len(ordered) - 1) / STEPS) for step in range(STEPS + 1)})
    return [ordered[0], *(ordered[index] for index in picked)], [0.0, *((i + 1) / len(ordered) for i in picked)]


def _numbered(axes: Axes, known: Sequence[tuple[float, float, str]]) -> None:
    """A dot with its number for each operation; those whose dots nearly coincide share a label."""
    axes.plot([x for x, _, _ in known], [y for _, y, _ in known], "o", color=ACCENT, markersize=6)
    groups: list[tuple[float, float, list[str]]] = []
    for x, y, label in known:
        near = [group for group in groups if max(x / group[0], group[0] / x, y / group[1], group[1] / y) < 1.25]
        if near:
            near[0][2].append(label)
        else:
            groups.append((x, y, [label]))
    for x, y, labels in groups:
        axes.annotate(", ".join(labels), (x, y), xytext=(7, -4), textcoords="offset points", va="top", weight="bold")
