"""Random search: networks drawn from the space, as many near each budget as anywhere below it; a baseline."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random

from edge.search.strategy import Lab, Strategy
from edge.search.trial import Step
from edge.spec import ModelSpec

NEAR, FLOOR = 0.8, 0.5
"""Shares of a latency: half of the networks take at least so much of a budget's, and all of them of the smallest one's. Ours."""
DRAWS = 20
"""For each network that is evaluated: most are too slow or too fast, and drawing costs next to nothing."""


class RandomSearch(Strategy):
    """Tries the smallest network too, so that every budget that can be served is."""

    def search(self, lab: Lab) -> tuple[Step, ...]:
        drawn = _drawn(lab)
        priced = dict(zip(drawn, lab.predict_ms(drawn), strict=True))
        half = lab.effort.evaluations // (2 * len(lab.budgets))
        wanted = [lab.space.smallest()]
        for budget in lab.budgets:
            wanted += islice(_between(priced, NEAR * budget.ms, budget.ms), half)
        wanted += _between(priced, FLOOR * lab.budgets[-1].ms, lab.budgets[0].ms)
        lab.evaluate(list(dict.fromkeys(wanted))[: lab.effort.evaluations])
        return ()


def _drawn(lab: Lab) -> list[ModelSpec]:
    random = Random(lab.seed)
    return list(dict.fromkeys(lab.space.draw(random) for _ in range(DRAWS * lab.effort.evaluations)))


def _between(priced: dict[ModelSpec, float], least_ms: float, most_ms: float) -> Iterator[ModelSpec]:
    return (spec for spec, ms in priced.items() if least_ms <= ms <= most_ms)
