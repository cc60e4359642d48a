"""How much each block matters, as tables of stages and blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.search.story import Story

WHOLE = "all stages"
"""The row of choices that belong to no stage."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A row per stage, a column per choice in it, and None where a stage has no such choice; `most` is the hottest."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    most: float


def heat_maps(story: Story) -> tuple[HeatMap, ...]:
    """One per kind that the supernet mixes, with how probable it is at each block; else what it costs to do without.

    Both are shares 0..1. Empty when the story knows neither.
    """
    if not story.importance:
        return (_heat_map("confidence lost", story.removal),) if story.removal else ()
    kinds = dict.fromkeys(kind for values in story.importance.values() for kind in values)
    return tuple(
        _heat_map(str(kind), {name: values[kind] for name, values in story.importance.items() if kind in values}, 1.0)
        for kind in kinds
    )


def _heat_map(title: str, shares: Mapping[str, float], most: float | None = None) -> HeatMap:
    cells = {_place(name): share for name, share in shares.items()}
    rows = tuple(dict.fromkeys(row for row, _ in cells))
    columns = tuple(sorted({column for _, column in cells}, key=_in_order))
    filled = tuple((row, tuple(cells.get((row, column)) for column in columns)) for row in rows)
    return HeatMap(title, columns, filled, max(0.0, *shares.values(), 1e-9) if most is None else most)


def _place(choice: str) -> tuple[str, str]:
    """The row and the column of `stage3.block2`."""
    stage, dot, block = choice.rpartition(".")
    return (stage if dot else WHOLE), block


def _in_order(column: str) -> tuple[str, int]:
    """`block10` stands behind `block9`."""
    word = column.rstrip("0123456789")
    return word, int(column.removeprefix(word) or 0)
