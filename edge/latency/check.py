"""Holds a table against the truth: random networks that it never saw, exported and measured whole, beside its predictions."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from scipy.stats import spearmanr

from edge.errors import UsageError
from edge.latency.bench import Bench, FileTime, Progress
from edge.latency.table import LatencyTable
from edge.latency.tag import Tag
from edge.space import SearchSpace
from edge.spec import ModelSpec

CLOSE = 0.10
"""A prediction is close within this share of what was measured (models.md §7.2)."""
CLEAR = 2
"""Two networks differ clearly when their times differ by at least so many times the noise (models.md §7.3)."""
DRAWS = 100_000
"""Networks drawn at most; those with a block that the table does not know are passed over."""
FEWEST = 4
"""Networks below which a rank correlation says nothing."""


@dataclass(frozen=True, slots=True)
class Row:
    """One held-out network: what the table says, what was measured, and how far its passes scatter (MAD), in ms."""

    spec: ModelSpec
    predicted_ms: float
    measured_ms: float
    noise_ms: float

    @property
    def error(self) -> float:
        """As a share of the measured time; positive where the table says too much."""
        return self.predicted_ms / self.measured_ms - 1

    def fields(self) -> dict[str, Any]:
        """As JSON data."""
        times = {"predicted_ms": self.predicted_ms, "measured_ms": self.measured_ms, "noise_ms": self.noise_ms}
        return {**self.spec.fields(), **times, "error": self.error}


@dataclass(frozen=True, slots=True)
class Check:
    """All held-out networks, and pairs of places in `rows`: a network and the same with one choice changed."""

    tag: Tag
    source: str
    rows: tuple[Row, ...]
    pairs: tuple[tuple[int, int], ...]

    def fields(self) -> dict[str, Any]:
        """The JSON fields of the command-line contract; errors are shares of the measured time."""
        errors = [abs(row.error) for row in self.rows]
        clear = [(a, b) for a, b in self._pairs() if _differ(a, b)]
        right = sum(_sign(a.predicted_ms - b.predicted_ms) == _sign(a.measured_ms - b.measured_ms) for a, b in clear)
        return {
            "models": len(self.rows),
            "mape": statistics.mean(errors),
            "median_error": statistics.median(errors),
            "worst_error": max(errors),
            "within_10_percent": sum(error <= CLOSE for error in errors) / len(errors),
            "spearman": spearman([r.predicted_ms for r in self.rows], [r.measured_ms for r in self.rows]),
            "pairs": len(self.pairs),
            "pairs_clear": len(clear),
            "pairs_sign_right": right,
            "measured_as": self.source,
            "device": self.tag.described,
            "runtime": self.tag.runtime,
            "rows": [row.fields() for row in self.rows],
        }

    def _pairs(self) -> list[tuple[Row, Row]]:
        return [(self.rows[a], self.rows[b]) for a, b in self.pairs]


def check(bench: Bench, table: LatencyTable, *, models: int, pairs: int, seed: int, progress: Progress) -> Check:
    """Measure `models` held-out networks whole, `pairs` of them mutants of another. Raises `UsageError` for too few of them,
    and what exporters and devices raise."""
    specs, places = held_out(bench.space, table, models, pairs, seed)
    predicted = [table.predict_ms(bench.space.blocks(spec)) for spec in specs]  # fails before anything is exported
    progress(f"export and time {len(specs)} networks")
    times = bench.time(specs, seed)
    rows = tuple(_row(spec, ms, times[spec]) for spec, ms in zip(specs, predicted, strict=True))
    return Check(table.tag, times[specs[0]].passes[0].source.value, rows, places)


def held_out(
    space: SearchSpace, table: LatencyTable, models: int, pairs: int, seed: int
) -> tuple[list[ModelSpec], tuple[tuple[int, int], ...]]:
    """Random networks of blocks that the table knows, none of them timed to build it, and which are one choice apart."""
    if models < FEWEST or 2 * pairs > models:
        raise UsageError(
            f"{models} networks with {pairs} pairs",
            hint=f"give --models {FEWEST} or more, and at most half as many --pairs",
        )
    random, used = Random(seed), {*table.networks()}
    specs: dict[ModelSpec, None] = {}
    places: list[tuple[int, int]] = []
    for _ in range(DRAWS):
        if len(specs) == models:
            return list(specs), tuple(places)
        spec = space.draw(random)
        other = space.mutate(spec, random)
        new = [spec, other] if len(places) < pairs else [spec]
        if any(each in used or each in specs or table.missing(space.blocks(each)) for each in new):
            continue
        if len(new) == 2:
            places.append((len(specs), len(specs) + 1))
        specs.update(dict.fromkeys(new))
    raise UsageError(
        f"the table knows the blocks of no {models} networks that it was not built with",
        hint="give fewer --models, or `edge latency build` the rest of the space",
    )


def spearman(left: Sequence[float], right: Sequence[float]) -> float:
    """The correlation of two columns' ranks; 0 where a column is all the same."""
    if len({*left}) == 1 or len({*right}) == 1:
        return 0.0
    return float(spearmanr(left, right).statistic)


def _row(spec: ModelSpec, predicted_ms: float, time: FileTime) -> Row:
    medians = [each.median_ms for each in time.passes]
    middle = statistics.median(medians)
    return Row(spec, predicted_ms, time.ms, statistics.median(abs(median - middle) for median in medians))


def _differ(a: Row, b: Row) -> bool:
    return abs(a.measured_ms - b.measured_ms) >= CLEAR * max(a.noise_ms, b.noise_ms)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
