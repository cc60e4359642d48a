"""Ours, not the paper's: looks around the network that slimming left in a budget for one that uses the budget better.

Greedy steps down cannot be taken back, and the last of them often leaves time unused.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge.search.budget import Budget
from edge.search.frontier import best
from edge.search.strategies._moves import down, up
from edge.search.strategy import Lab
from edge.search.trial import Trial
from edge.spec import ModelSpec


def repair(lab: Lab, budget: Budget, start: Trial, evaluations: int) -> Trial:
    """The most confident network found by steps that keep within the budget: one choice up, or else one down and one up.

    Goes on while confidence grows. At most so many evaluations: of more networks, those that use the most of the budget.
    """
    now, left = start, evaluations
    while True:
        for neighbours in (_larger, _swapped):
            specs = _within(lab, budget, neighbours(lab, now.spec))[:left]
            left -= len(specs)
            found = best((now, *lab.evaluate(specs)), budget)
            if found is not None and found.evaluation.confidence > now.evaluation.confidence:
                now = found
                break
        else:
            return now


def _larger(lab: Lab, spec: ModelSpec) -> list[ModelSpec]:
    return [move.spec for move in up(lab.space, spec)]


def _swapped(lab: Lab, spec: ModelSpec) -> list[ModelSpec]:
    return [other.spec for move in down(lab.space, spec) for other in up(lab.space, move.spec) if other.spec != spec]


def _within(lab: Lab, budget: Budget, specs: Iterable[ModelSpec]) -> list[ModelSpec]:
    """Those as fast as the budget asks, each once, the slowest first, no more than a population."""
    distinct = list(dict.fromkeys(specs))
    fast = [(ms, spec) for ms, spec in zip(lab.predict_ms(distinct), distinct, strict=True) if ms <= budget.ms]
    fast.sort(key=lambda pair: -pair[0])
    return [spec for _, spec in fast[: lab.effort.population]]
