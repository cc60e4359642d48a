"""Evolution goes the same way twice, wastes nothing on networks that serve nobody, and finds what random draws do not."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import optuna
import pytest

from edge import plugins
from edge.search.budget import Budget
from edge.search.frontier import best
from edge.search.strategies.evolution import MARGIN, Evolution
from edge.search.strategies.random import RandomSearch
from edge.search.strategy import Strategy
from edge.spec import ModelSpec
from tests.fakes.toy_lab import EFFORT, ToyLab
from tests.fakes.toy_space import ToySpace

SPACE = plugins.space("efficientformer_v2", (32, 32), 10)


def ms(spec: ModelSpec) -> float:
    return 1.0 + sum(SPACE.choices[name].index(value) for name, value in spec.choices.items())


def planted(seed: int) -> ModelSpec:
    """A network of no more than 25 ms, of 50 at most."""
    random = Random(f"planted {seed}")  # not what the strategies draw
    return next(spec for spec in iter(lambda: SPACE.draw(random), None) if 15 < ms(spec) < 25)


def lab(seed: int = 0, *, evaluations: int = 60, population: int = 12) -> ToyLab:
    """Confidence is the share of the choices that are as in the planted network."""
    optimum = planted(seed)

    def confidence(spec: ModelSpec) -> float:
        return sum(value == optimum.choices[name] for name, value in spec.choices.items()) / len(spec.choices)

    effort = replace(EFFORT, evaluations=evaluations, population=population)
    budgets = [Budget("25ms", 25), Budget("20ms", 20)]
    return ToyLab(SPACE, budgets, ms=ms, confidence=confidence, effort=effort, seed=seed)


def run(strategy: Strategy, used: ToyLab) -> ToyLab:
    assert strategy.search(used) == ()
    return used


def found(used: ToyLab) -> float:
    trial = best(used.trials.values(), used.budgets[0])
    assert trial is not None
    return trial.evaluation.confidence


def test_the_same_seed_and_answers_lead_the_same_way() -> None:
    assert run(Evolution(), lab(3)).batches == run(Evolution(), lab(3)).batches
    assert run(Evolution(), lab(3)).batches != run(Evolution(), lab(4)).batches


@pytest.mark.parametrize("seed", range(3))
def test_it_comes_closer_to_a_planted_optimum_than_random_draws(seed: int) -> None:
    evolved = run(Evolution(), lab(seed, evaluations=200, population=20))
    drawn = run(RandomSearch(), lab(seed, evaluations=200))
    assert len(evolved.trials) == 200
    assert found(evolved) > found(drawn) + 0.1


def test_it_asks_for_whole_generations_of_new_networks_until_its_evaluations_are_spent() -> None:
    used = run(Evolution(), lab(evaluations=58, population=12))
    assert [len(batch) for batch in used.batches] == [12, 12, 12, 12, 10]
    assert len(used.trials) == 58


def test_generations_improve_by_what_the_last_one_answered() -> None:
    used = run(Evolution(), lab(evaluations=120, population=20))
    trials = used.trials
    means = [sum(trials[spec].evaluation.confidence for spec in batch) / 20 for batch in used.batches]
    assert means[-1] > means[0] + 0.1


def test_a_limit_of_parameters_holds_the_generations_near_it_where_larger_is_better() -> None:
    small: list[int] = []
    for limit in (None, 16_000):
        used = ToyLab(SPACE, [Budget("25ms", 25, params=limit)], ms=ms, confidence=lambda spec: ms(spec) / 50)
        trials = run(Evolution(), used).trials
        small.append(sum(trials[spec].params <= 16_000 for batch in used.batches[1:] for spec in batch))
        assert best(trials.values(), used.budgets[0]) is not None
    assert small[1] > 2 * small[0]


def test_networks_that_are_too_slow_are_never_tried() -> None:
    used = run(Evolution(), lab(evaluations=100))
    assert max(trial.predicted_ms for trial in used.trials.values()) <= MARGIN * used.budgets[0].ms


def test_the_first_generation_holds_the_smallest_network_and_hand_scaled_ones() -> None:
    first = run(Evolution(), lab()).batches[0]
    assert SPACE.smallest() in first
    assert any(SPACE.uniform(step / 40) in first for step in range(1, 40))


def test_it_ends_when_a_small_space_has_nothing_new() -> None:
    toy = ToySpace((8, 8), 2)
    used = ToyLab(
        toy, [Budget("", 9)], ms=lambda spec: 1.0, confidence=lambda spec: 0.5, effort=replace(EFFORT, evaluations=500)
    )
    assert len(run(Evolution(), used).trials) == 2 * 2 * 3 * 3


def test_optuna_says_nothing_and_stays_as_talkative_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    optuna.logging.set_verbosity(optuna.logging.INFO)
    run(Evolution(), lab())
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == optuna.logging.INFO
