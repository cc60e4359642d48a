"""Slimming: from the largest network step by step to the smallest budget, by what costs the least confidence per ms saved.

The loop of EfficientFormer (models.md §3.1, §3.2). Ours, where the papers are silent: confidence stands for accuracy, so that
networks that are right equally often differ; what saves no time by the table is never tried; with importance, each stage may
become narrower and not only the least important one, whose score is a sum that says more of its depth than of its width.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge.errors import DeviceError
from edge.search.strategies._moves import ABSENT, Move, down
from edge.search.strategies._repair import repair
from edge.search.strategy import Lab, Strategy
from edge.search.trial import Candidate, Step, Trial
from edge.spec import Choice

FEWEST = 3
"""Candidates of a step, if there are as many: with importance the paper has one of each of three kinds."""
DRIFT = 0.10
"""A prediction may be off by so much of what is measured (models.md §7.5)."""
START = "the largest network"


class Slimming(Strategy):
    """The gradual loop, then a repair of what it found for each budget."""

    def search(self, lab: Lab) -> tuple[Step, ...]:
        path = _path(lab)
        for budget in lab.budgets:
            fitting = [step.trial for step in path if budget.fits(step.trial)]
            if fitting:
                repair(lab, budget, fitting[0], lab.effort.evaluations // len(lab.budgets))
        return path


def _path(lab: Lab) -> tuple[Step, ...]:
    """Every step down from the largest network, until each budget has one that fits or nothing saves time any more."""
    (largest,) = lab.evaluate([lab.space.largest()])
    step, unserved, path = Step(START, largest), lab.budgets, list[Step]()
    while True:
        unserved = tuple(budget for budget in unserved if not budget.fits(step.trial))
        moves = _faster(lab, step.trial) if unserved else ()
        if (path and len(path) % lab.effort.anchor_every == 0) or not moves:
            step = Step(step.action, step.trial, step.candidates, _anchored_ms(lab, step.trial))
        lab.took(step)
        path.append(step)
        if not moves:
            return tuple(path)
        step = _cheapest(lab, step.trial, moves)


def _faster(lab: Lab, trial: Trial) -> tuple[Move, ...]:
    """The moves to try next, all to networks that the table calls faster."""
    moves = down(lab.space, trial.spec)
    latencies = lab.predict_ms([move.spec for move in moves])
    moves = tuple(move for move, ms in zip(moves, latencies, strict=True) if ms < trial.predicted_ms)
    return _important(moves, lab.importance) if lab.importance else moves


def _important(moves: tuple[Move, ...], importance: Mapping[str, Mapping[Choice, float]]) -> tuple[Move, ...]:
    """Of the blocks that could go, only the least important; the next ones too where there is little else to try."""
    going = [move for move in moves if move.choice in importance and move.value in ABSENT]
    others = tuple(move for move in moves if move not in going)
    going.sort(key=lambda move: score(importance[move.choice], move.value))
    return *others, *going[: max(1, FEWEST - len(others))]


def score(probabilities: Mapping[Choice, float], absent: Choice) -> float:
    """Of a MetaPath: how probable the supernet holds that the block is there, per how probable that it is not.

    Of probabilities and not of logits, whose ratio would say nothing where they are negative (the sources do not tell).
    """
    there = sum(probability for value, probability in probabilities.items() if value != absent)
    return there / max(probabilities[absent], 1e-12)


def _cheapest(lab: Lab, now: Trial, moves: tuple[Move, ...]) -> Step:
    """The step to what costs the least confidence per ms saved; less than nothing where it gains some."""
    candidates = tuple(
        Candidate(move.action, then, _cost_per_ms(now, then))
        for move, then in zip(moves, lab.evaluate([move.spec for move in moves]), strict=True)
    )
    chosen = min(candidates, key=lambda candidate: candidate.cost_per_ms)  # of equals the first
    return Step(chosen.action, chosen.trial, candidates)


def _cost_per_ms(now: Trial, then: Trial) -> float:
    lost = now.evaluation.confidence - then.evaluation.confidence
    return lost / (now.predicted_ms - then.predicted_ms)


def _anchored_ms(lab: Lab, trial: Trial) -> float:
    """What the whole network takes on the device. Raises `DeviceError` when the table says something else."""
    measured_ms = lab.measure_ms(trial.spec)
    drift = trial.predicted_ms / measured_ms - 1
    if abs(drift) > DRIFT:
        raise DeviceError(
            f"the device needs {measured_ms:.3f} ms for a network of which the latency table says "
            f"{trial.predicted_ms:.3f} ms: {drift:+.0%}, and {DRIFT:.0%} may be",
            hint="let the device rest and build the table again (remove latency.sqlite and measured.json from the search's "
            "folder), then give the same command: what was evaluated is kept",
        )
    return measured_ms
