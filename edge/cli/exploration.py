"""What `edge simulate --explore` prints: the designs that nothing beats, and what to fix first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edge.cli.output import emit, table

if TYPE_CHECKING:
    from edge.simulator.chip import Chip
    from edge.simulator.explore import Change, Exploration, Point
    from edge.simulator.policies import Policy
    from edge.simulator.workload import Workload

ROWS = 12
"""Points of a front that are printed; --json has all."""


def print_exploration(
    workload: Workload, chip: Chip, policy: Policy, task: str, *, html: Path | None, as_json: bool, quiet: bool
) -> None:
    """Explore the designs around `chip` for one frame of `task`. Raises `UsageError` when the chip's own does not fit."""
    from edge.simulator.design import space
    from edge.simulator.explore import explore
    from edge.simulator.scatter import page
    from edge.whole import write_text

    found = explore(workload, chip, space(workload.network, chip, policy), task, processes=2)
    if html is not None:
        write_text(html, page(found))
    if as_json:
        return emit("simulate", {**found.fields(), "html": None if html is None else str(html)})
    if quiet:
        return print(html) if html is not None else None
    _print_summary(found)
    _print_front(found, "at the precision of the base", found.front_at_base_precision)
    _print_front(found, "at any precision", found.front)
    _print_changes(found)
    return print(
        "\nDSPs are those of the arrays by a model of a product, not a synthesis; what wider ports and fewer bits cost "
        "in LUTs, clock and accuracy is not modelled"
    )


def _print_summary(found: Exploration) -> None:
    fields = found.fields()
    print(
        f"{fields['workload']} on simulated:{fields['chip']}, task {fields['task']}: {fields['explored']:,} designs, "
        f"{fields['feasible']:,} fit, {fields['points_per_second']:,.0f} of them a second; every number is simulated"
    )
    for obstacle, count in fields["infeasible"].items():
        print(f"  {count:,} need {obstacle}")


def _print_front(found: Exploration, which: str, front: tuple[Point, ...]) -> None:
    """The base and up to `ROWS` points of a front, from the fastest to the slowest."""
    shown = front[:: max(1, -(-len(front) // ROWS))]
    more = f"; {len(front) - len(shown)} more of them in --json" if len(shown) < len(front) else ""
    print(f"\nNothing beats these {len(front)} designs {which} in latency, memory, DSPs and traffic at once{more}\n")
    heads = ("", "ms", "on chip", "DSPs", "DRAM bytes", "array", "queries", "bytes/cycle", "bits", "experts")
    others = [point for point in shown if point is not found.base_point]
    table(heads, (_point_row(found, point, front) for point in (found.base_point, *others)))


def _point_row(found: Exploration, point: Point, front: tuple[Point, ...]) -> tuple[str, ...]:
    design = point.design
    on_front = any(point is each for each in front)
    mark = ("base, on the front" if on_front else "base, beaten") if point is found.base_point else ""
    widths = dict.fromkeys(f"{port.bytes_per_cycle * design.ports:g}" for port in found.base.port)
    return (
        mark,
        f"{found.base.milliseconds(point.cycles):.3f}",
        f"{point.on_chip_bytes:,}",
        f"{point.dsp:,}",
        f"{point.dram_bytes:,}",
        "×".join(map(str, design.array)),
        f"{design.queries}×{design.lanes}",
        "/".join(widths),
        "/".join(map(str, design.bits)),
        _way(design.policy, design.buffer_bytes),
    )


def _way(policy: Policy, buffer_bytes: int) -> str:
    """The schedule of the experts in words."""
    from edge.simulator.policies import Kind

    buffers = f"{policy.buffers} × {buffer_bytes:,} bytes"
    if policy.kind is Kind.EXPERT_REORDER:
        return f"{policy.kind} by {policy.granularity}, {buffers}"
    cache = f" of {policy.cache}" if policy.kind is Kind.TOKEN_LRU else ""
    return f"{policy.kind}{cache}, {buffers}"


def _print_changes(found: Exploration) -> None:
    if not found.fix_first:
        return print("\nno single change saves a cycle")
    print("\nWhat to fix first: single changes to the base\n")
    table(("change", "saves ms", "share", "DSPs", "on chip", "DRAM bytes", "ms per 100 DSPs"), _change_rows(found))
    alike = [change for change in found.fix_first if change.axis != "bits"]
    for line in _advice(found, alike):
        print(line)
    return None


def _change_rows(found: Exploration) -> Iterator[tuple[str, ...]]:
    for change in found.fix_first:
        saved = found.base.milliseconds(change.saved_cycles)
        yield (
            _label(found, change),
            f"{saved:.3f}",
            f"{change.saved_cycles / found.base_point.cycles:.1%}",
            f"{change.added_dsp:+,}",
            f"{change.added_bytes:+,}",
            f"{change.added_dram_bytes:+,}",
            f"{100 * saved / change.added_dsp:.3f}" if change.added_dsp > 0 else "–",
        )


def _advice(found: Exploration, alike: list[Change]) -> Iterator[str]:
    """The largest saving, the largest per DSP, and the largest that needs neither DSPs nor memory."""
    paid = [change for change in alike if change.added_dsp > 0]
    free = [change for change in alike if change.added_dsp <= 0 and change.added_bytes <= 0]
    named = {
        "the most": alike[:1],
        "the most per DSP": sorted(paid, key=lambda change: -change.saved_cycles / change.added_dsp)[:1],
        "the most without DSPs or memory on chip": free[:1],
    }
    for what, first in named.items():
        for change in first:
            saved = found.base.milliseconds(change.saved_cycles)
            yield f"  {what} at the same precision: {_label(found, change)} ({saved:.3f} ms)"


def _label(found: Exploration, change: Change) -> str:
    """A change in words: what it was → what it is."""
    before, after = found.base_point.design, change.point.design
    if change.axis == "policy":
        return f"{_way(before.policy, before.buffer_bytes)} → {_way(after.policy, after.buffer_bytes)}"
    if change.axis == "ports":
        return f"port width × {after.ports:g}"
    old, new = (getattr(design, change.axis) for design in (before, after))
    mark = {"array": "×", "bits": "/"}.get(change.axis, "")
    words = [mark.join(map(str, value)) if mark else f"{value:,}" for value in (old, new)]
    return f"{change.axis.replace('_', ' ')} {words[0]} → {words[1]}"
