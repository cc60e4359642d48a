"""A repair takes back what greedy steps down should not have taken, within its budget and its evaluations."""

from __future__ import annotations

from itertools import product

import pytest

from edge.search.budget import Budget
from edge.search.strategies._moves import down, up
from edge.search.strategies._repair import repair
from edge.search.trial import Trial
from edge.spec import ModelSpec
from tests.fakes.toy_lab import ToyLab
from tests.fakes.toy_space import ToySpace

SPACE = ToySpace((8, 8), 2)
EVERY = [
    ModelSpec(SPACE.name, dict(zip(SPACE.choices, values, strict=True))) for values in product(*SPACE.choices.values())
]
PLACES = {"width1": 3.0, "width2": 2.0, "depth1": 2.0, "depth2": 1.0}


def ms(spec: ModelSpec) -> float:
    return 1 + sum(cost * SPACE.choices[name].index(spec.choices[name]) for name, cost in PLACES.items())


def confidence(spec: ModelSpec) -> float:
    """Depth helps where there is width."""
    wide, deep = (sum(int(spec.choices[f"{what}{stage}"]) for stage in (1, 2)) for what in ("width", "depth"))
    return 0.2 + wide * deep / 200


def lab() -> ToyLab:
    return ToyLab(SPACE, [], ms=ms, confidence=confidence)


def trial(spec: ModelSpec) -> Trial:
    (found,) = lab().evaluate([spec])
    return found


def places(spec: ModelSpec) -> list[int]:
    return [values.index(spec.choices[name]) for name, values in SPACE.choices.items()]


def is_next(one: ModelSpec, other: ModelSpec) -> bool:
    """Whether `other` has one choice a step up, and at most one a step down."""
    steps = [b - a for a, b in zip(places(one), places(other), strict=True)]
    return sorted(steps) in ([0, 0, 0, 1], [-1, 0, 0, 1])


@pytest.mark.parametrize("start", EVERY)
def test_it_ends_where_no_step_within_the_budget_is_better(start: ModelSpec) -> None:
    for budget_ms in (ms(start), ms(start) + 1.5, ms(start) + 4):
        found = repair(lab(), Budget("", budget_ms), trial(start), 1000)
        assert found.predicted_ms <= budget_ms
        near = [spec for spec in EVERY if is_next(found.spec, spec) and ms(spec) <= budget_ms]
        assert max(map(confidence, near), default=0.0) <= found.evaluation.confidence


def test_with_all_the_time_there_is_it_finds_the_best_network() -> None:
    found = repair(lab(), Budget("", 100), trial(SPACE.smallest()), 200)
    assert found.evaluation.confidence == max(map(confidence, EVERY))


def test_it_swaps_where_nothing_more_fits() -> None:
    start = trial(ModelSpec(SPACE.name, {"width1": 4, "width2": 8, "depth1": 3, "depth2": 1}))
    found = repair(lab(), Budget("", start.predicted_ms), start, 200)
    assert found.predicted_ms <= start.predicted_ms
    assert found.evaluation.confidence > start.evaluation.confidence


@pytest.mark.parametrize("evaluations", [0, 1, 5])
def test_it_evaluates_no_more_than_it_may(evaluations: int) -> None:
    asked = lab()
    repair(asked, Budget("", 8.0), trial(SPACE.smallest()), evaluations)
    assert sum(map(len, asked.batches)) <= evaluations


def test_it_evaluates_nothing_slower_than_the_budget_and_keeps_its_parameters_within() -> None:
    asked = lab()
    found = repair(asked, Budget("", 8.0, params=5000), trial(SPACE.smallest()), 200)
    assert max(each.predicted_ms for each in asked.trials.values()) <= 8
    assert found.params <= 5000


def test_the_moves_of_a_network_are_one_choice_away_and_lead_back() -> None:
    for spec in EVERY:
        for move in down(SPACE, spec):
            changed = [name for name in spec.choices if spec.choices[name] != move.spec.choices[name]]
            assert changed == [move.choice]
            assert spec in [back.spec for back in up(SPACE, move.spec)]
    assert down(SPACE, SPACE.smallest()) == () == up(SPACE, SPACE.largest())
