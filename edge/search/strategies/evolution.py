"""Evolution: NSGA-II (optuna's) over confidence, latency and size, whole generations at once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

from edge.search.strategy import Lab, Strategy
from edge.search.trial import Step, Trial
from edge.search.uniform_networks import uniform_networks
from edge.spec import ModelSpec

if TYPE_CHECKING:
    import optuna

MARGIN = 1.1
"""Networks slower than so many times the largest budget are never tried: they serve nobody. Ours."""
TRIES = 20
"""For each network of a generation: others are too slow, or were tried before."""


class Evolution(Strategy):
    """Ends after the evaluations of its effort, or where it finds nothing new. The same answers lead it the same way."""

    def search(self, lab: Lab) -> tuple[Step, ...]:
        study = _study(lab)
        for founder in _founders(lab):
            study.enqueue_trial(dict(founder.choices))
        tried: set[ModelSpec] = set()
        while generation := _generation(lab, study, tried):
            for question, trial in zip(generation.values(), lab.evaluate([*generation]), strict=True):
                study.tell(question, _objectives(lab, trial))
            tried |= {*generation}
        return ()


def _study(lab: Lab) -> optuna.Study:
    """In memory: what was answered lies in the lab's storage. Says nothing, and leaves optuna as talkative as it was."""
    import optuna

    sampler = optuna.samplers.NSGAIISampler(population_size=lab.effort.population, seed=lab.seed)
    talkative = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(sampler=sampler, directions=("maximize", "minimize", "minimize", "minimize"))
    finally:
        optuna.logging.set_verbosity(talkative)


def _objectives(lab: Lab, trial: Trial) -> tuple[float, float, int, int]:
    """Confidence (more is better), ms, and what parameters and MACs there are beyond their limits (less is better).

    To be faster or smaller than the smallest budget asks is no merit (ours): else most of a generation would be that.
    """
    least = lab.budgets[-1]
    sizes = _beyond(trial.params, least.params), _beyond(trial.macs, least.macs)
    return trial.evaluation.confidence, max(trial.predicted_ms, least.ms), *sizes


def _beyond(number: int, limit: int | None) -> int:
    return 0 if limit is None else max(0, number - limit)


def _founders(lab: Lab) -> list[ModelSpec]:
    """The first generation: the smallest network, the largest, those of uniform scaling (up to half), and draws."""
    uniform = uniform_networks(lab.space)
    every = -(-len(uniform) // max(1, lab.effort.population // 2 - 2))
    random = Random(lab.seed)
    draws = (lab.space.draw(random) for _ in range(TRIES * lab.effort.population))
    wanted = dict.fromkeys((lab.space.smallest(), lab.space.largest(), *uniform[::every], *draws))
    return list(islice(_fast(lab, wanted), lab.effort.population))


def _fast(lab: Lab, specs: dict[ModelSpec, None]) -> Iterator[ModelSpec]:
    latencies = lab.predict_ms([*specs])
    return (spec for spec, ms in zip(specs, latencies, strict=True) if ms <= MARGIN * lab.budgets[0].ms)


def _generation(lab: Lab, study: optuna.Study, tried: set[ModelSpec]) -> dict[ModelSpec, optuna.Trial]:
    """Networks that were not tried, with the questions of the study that they answer; none where the effort is spent.

    What is too slow or known is told as failed, and so belongs to no generation.
    """
    import optuna

    genes: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.CategoricalDistribution(values) for name, values in lab.space.choices.items()
    }
    wanted = min(lab.effort.population, lab.effort.evaluations - len(tried))
    found: dict[ModelSpec, optuna.Trial] = {}
    for _ in range(TRIES * wanted):
        if len(found) == wanted:
            break
        question = study.ask(genes)
        _ = question.relative_params  # what is enqueued joins no generation unless they are asked for (optuna 5.0)
        spec = lab.space.canonical(ModelSpec(lab.space.name, question.params))
        new = spec not in tried and spec not in found
        if new and lab.predict_ms([spec])[0] <= MARGIN * lab.budgets[0].ms:
            found[spec] = question
        else:
            study.tell(question, state=optuna.trial.TrialState.FAIL)
    return found
