"""Random search spends its draws where a budget could use them."""

from __future__ import annotations

from dataclasses import replace

from edge import plugins
from edge.search.budget import Budget
from edge.search.strategies.random import FLOOR, NEAR, RandomSearch
from edge.spec import ModelSpec
from tests.fakes.toy_lab import EFFORT, ToyLab

SPACE = plugins.space("efficientvit", (32, 32), 10)
BUDGETS = (Budget("16ms", 16), Budget("12ms", 12))


def ms(spec: ModelSpec) -> float:
    return 1.0 + sum(SPACE.choices[name].index(value) for name, value in spec.choices.items())


def lab(seed: int = 0) -> ToyLab:
    effort = replace(EFFORT, evaluations=80)
    return ToyLab(SPACE, BUDGETS, ms=ms, confidence=lambda spec: 0.5, seed=seed, effort=effort)


def searched(used: ToyLab) -> ToyLab:
    assert RandomSearch().search(used) == ()
    return used


def test_the_same_seed_draws_the_same_networks_and_another_does_not() -> None:
    assert searched(lab(1)).batches == searched(lab(1)).batches
    assert searched(lab(1)).batches != searched(lab(2)).batches


def test_it_evaluates_all_it_may_at_once_beginning_with_the_smallest() -> None:
    (batch,) = searched(lab()).batches
    assert len(batch) == len({*batch}) == 80
    assert batch[0] == SPACE.smallest()


def test_no_network_is_too_slow_for_the_largest_budget_or_far_too_fast_for_the_smallest() -> None:
    (batch,) = searched(lab()).batches
    assert all(FLOOR * 12 <= ms(spec) <= 16 for spec in batch[1:])


def test_each_budget_has_its_share_of_networks_near_it() -> None:
    (batch,) = searched(lab()).batches
    for budget in BUDGETS:
        assert sum(NEAR * budget.ms <= ms(spec) <= budget.ms for spec in batch) >= 80 // 4
