"""Every strategy keeps its promise on every space: it ends, asks nothing twice at once, and serves each budget within reach."""

from __future__ import annotations

import math
import subprocess
import sys
from functools import cache

import pytest

from edge import plugins
from edge.errors import UnknownNameError
from edge.search.budget import Budget
from edge.search.frontier import best
from edge.space import Block, SearchSpace
from edge.spec import ModelSpec
from tests.fakes.toy_lab import ToyLab

STRATEGIES = plugins.names("edge.search.strategies")
SPACES = plugins.names("edge.spaces")


@cache
def space(name: str) -> SearchSpace:
    return plugins.space(name, (32, 32), 10)


@cache
def block_ms(block: Block) -> float:
    """Grows with what goes in, what comes out and the block's options; no two kinds of blocks cost the same."""
    return 0.05 + 1e-6 * block.input[0] * math.prod(block.output) * (1 + sum(value for _, value in block.options))


@cache
def ms(spec: ModelSpec) -> float:
    return sum(map(block_ms, space(spec.space).blocks(spec)))


def confidence(spec: ModelSpec) -> float:
    """Grows with latency, less and less, with bumps of up to 0.05."""
    bump = sum(ord(letter) * place for place, letter in enumerate(str(spec.fields()))) % 101 / 2020
    return 0.9 * ms(spec) / (ms(spec) + ms(space(spec.space).smallest())) + bump


def lab(name: str) -> ToyLab:
    """Three budgets: from a little above the smallest network to three quarters of the way to the largest of uniform ones."""
    least, most = ms(space(name).uniform(0)), ms(space(name).uniform(1))
    budgets = [Budget(f"{share}", least + share * (most - least)) for share in (0.75, 0.4, 0.1)]
    return ToyLab(space(name), budgets, ms=ms, confidence=confidence)


@pytest.fixture(params=[(strategy, space) for strategy in STRATEGIES for space in SPACES], ids="-".join, scope="module")
def searched(request: pytest.FixtureRequest) -> tuple[str, ToyLab]:
    strategy, of = request.param
    used = lab(of)
    path = plugins.strategy(strategy).search(used)
    assert path == tuple(used.steps)
    return strategy, used


def test_it_asks_for_no_network_twice_in_one_batch(searched: tuple[str, ToyLab]) -> None:
    _, used = searched
    assert used.batches
    for batch in used.batches:
        assert len({*batch}) == len(batch)


def test_each_budget_within_reach_is_served(searched: tuple[str, ToyLab]) -> None:
    _, used = searched
    for budget in used.budgets:
        assert best(used.trials.values(), budget) is not None


def test_begun_again_it_asks_the_same_in_the_same_order(searched: tuple[str, ToyLab]) -> None:
    strategy, used = searched
    again = lab(used.space.name)
    assert plugins.strategy(strategy).search(again) == tuple(used.steps)
    assert again.batches == used.batches


def test_every_step_of_a_path_was_tried_and_is_among_its_candidates(searched: tuple[str, ToyLab]) -> None:
    _, used = searched
    trials = used.trials
    for number, step in enumerate(used.steps):
        assert trials[step.trial.spec] == step.trial
        assert number == 0 or step.trial in [candidate.trial for candidate in step.candidates]


@pytest.mark.parametrize("name", STRATEGIES)
def test_it_goes_by_its_files_name_and_importing_it_needs_neither_torch_nor_optuna(name: str) -> None:
    code = (
        f"import sys; from edge import plugins; print(plugins.strategy({name!r}).name, "
        "'torch' in sys.modules, 'optuna' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert shown == [name, "False", "False"]


def test_an_unknown_strategy_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no strategy named 'sliming'") as caught:
        plugins.strategy("sliming")
    assert "slimming" in caught.value.hint
