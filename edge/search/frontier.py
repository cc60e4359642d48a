"""Which of the networks that were tried are worth having: those that nothing beats, and the best that a budget allows."""

from __future__ import annotations

from collections.abc import Iterable

from edge.search.budget import Budget
from edge.search.trial import Trial


def frontier(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Those than which none is both faster and more confident, from the fastest; of equals, one."""
    found: list[Trial] = []
    for trial in sorted(trials, key=lambda trial: (trial.predicted_ms, *_merit(trial))):
        if not found or trial.evaluation.confidence > found[-1].evaluation.confidence:
            found.append(trial)
    return tuple(found)


def ranked(trials: Iterable[Trial], budget: Budget) -> tuple[Trial, ...]:
    """Those that fit the budget, the most confident first; of equals the more accurate, then the faster."""
    return tuple(sorted(filter(budget.fits, trials), key=_merit))


def best(trials: Iterable[Trial], budget: Budget) -> Trial | None:
    """The first of the ranked; none where nothing fits."""
    return next(iter(ranked(trials, budget)), None)


def _merit(trial: Trial) -> tuple[float, float, float, str]:
    """Less is better; what the network is decides last, so that the order of the trials never does."""
    evaluation = trial.evaluation
    return -evaluation.confidence, -evaluation.accuracy, trial.predicted_ms, str(trial.spec.fields())
