"""The designs of an exploration as a page that stands alone: latency against DSPs, memory on chip and traffic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from edge.simulator.explore import Exploration, Point

WIDTH, HEIGHT, MARGIN = 420, 320, 46
AXES = ((1, "bytes on chip"), (2, "DSPs"), (3, "DRAM bytes"))
"""Objectives beside latency, by their place in a point's objectives."""

STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1360px; padding: 0 1rem; color: #1d2430 }
figure { display: inline-block; margin: 0 1rem 1rem 0 } svg text { font-size: 11px; fill: #4a5568 }
.all { fill: #c3cad6 } .front { fill: #1f6feb } .alike { fill: #d9730d } .base { fill: none; stroke: #b42318; stroke-width: 2 }
table { border-collapse: collapse } td, th { padding: 2px 10px; text-align: right; border-bottom: 1px solid #e3e7ee }
"""


def page(found: Exploration) -> str:
    """HTML without scripts or outside files; a point's tooltip names its design."""
    fields = found.fields()
    title = escape(f"{fields['workload']} on simulated:{fields['chip']}, task {fields['task']}")
    charts = "".join(_chart(found, objective, label) for objective, label in AXES)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<h1>{title}</h1><p>{fields['explored']:,} designs, {fields['feasible']:,} fit. Grey: all. Blue: the front. Orange: the "
        "front at the precision of the base. Circle: the base. Every number is simulated; DSPs follow a model of a "
        "product; LUTs, clock and accuracy are not modelled.</p>"
        f"{charts}<h2>Single changes to the base</h2>{_changes(found)}</html>"
    )


def _chart(found: Exploration, objective: int, label: str) -> str:
    """One scatter: the logarithm of latency to the right, another objective upwards from zero."""
    fewest, slowest = (bound(point.cycles for point in found.points) for bound in (min, max))
    decades = math.log(slowest / fewest) or 1
    most = max(point.objectives[objective] for point in found.points)

    def place(point: Point) -> tuple[int, int]:
        right = math.log(point.cycles / fewest) / decades * (WIDTH - 2 * MARGIN)
        up = point.objectives[objective] / max(1, most) * (HEIGHT - 2 * MARGIN)
        return round(MARGIN + right), round(HEIGHT - MARGIN - up)

    groups = {"all": found.points, "front": found.front, "alike": found.front_at_base_precision}
    dots = "".join(_dots(found, name, {place(point): point for point in group}) for name, group in groups.items())
    x, y = place(found.base_point)
    span = f"{found.base.milliseconds(fewest):.3g} to {found.base.milliseconds(slowest):.3g} ms"
    left, bottom = MARGIN, HEIGHT - MARGIN
    return (
        f'<figure><svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="latency against {label}">'
        f'<path d="M{left} {MARGIN}V{bottom}H{WIDTH - MARGIN}" fill="none" stroke="#4a5568"/>{dots}'
        f'<circle class="base" cx="{x}" cy="{y}" r="6"/>'
        f'<text x="{left}" y="{MARGIN - 10}">{label}, up to {most:,}</text>'
        f'<text x="{WIDTH - MARGIN}" y="{bottom + 16}" text-anchor="end">'
        f"latency, {span}, logarithmic</text></svg></figure>"
    )


def _dots(found: Exploration, name: str, placed: dict[tuple[int, int], Point]) -> str:
    """A dot for each place, as points that fall together look like one."""
    radius = 1.5 if name == "all" else 3
    return (
        f'<g class="{name}">' + "".join(_dot(found, x, y, radius, point) for (x, y), point in placed.items()) + "</g>"
    )


def _dot(found: Exploration, x: int, y: int, radius: float, point: Point) -> str:
    words = ", ".join(f"{key} {value}" for key, value in point.design.fields(found.base).items() if value is not None)
    tip = escape(f"{found.base.milliseconds(point.cycles):.3f} ms, {point.dsp} DSPs: {words}")
    return f'<circle cx="{x}" cy="{y}" r="{radius}"><title>{tip}</title></circle>'


def _changes(found: Exploration) -> str:
    heads = ("field", "to", "saves ms", "DSPs", "bytes on chip", "DRAM bytes")
    rows = [f"<tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>"]
    rows += [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>" for cells in _change_cells(found)]
    return f"<table>{''.join(rows)}</table>"


def _change_cells(found: Exploration) -> Iterator[tuple[str, ...]]:
    for change in found.fix_first:
        design = change.point.design
        policy = design.policy
        values = {
            "array": "×".join(map(str, design.array)),
            "bits": "/".join(map(str, design.bits)),
            "queries": f"{design.queries}",
            "lanes": f"{design.lanes}",
            "buffer_bytes": f"{design.buffer_bytes:,}",
            "ports": f"× {design.ports:g}",
            "policy": f"{policy.kind}, {policy.buffers} buffers by {policy.granularity}, cache of {policy.cache}",
        }
        yield (
            change.axis.replace("_", " "),
            values[change.axis],
            f"{found.base.milliseconds(change.saved_cycles):.3f}",
            f"{change.added_dsp:+,}",
            f"{change.added_bytes:+,}",
            f"{change.added_dram_bytes:+,}",
        )
