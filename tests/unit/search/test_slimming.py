"""Slimming takes the way that one can work out by hand, the same way every time, and trusts no table that drifts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge import plugins
from edge.errors import DeviceError
from edge.search.budget import Budget
from edge.search.strategies.slimming import START, Slimming, score
from edge.search.trial import Step
from edge.spec import Choice, ModelSpec
from tests.fakes.toy_lab import EFFORT, ToyLab
from tests.fakes.toy_space import ToySpace

MS = {"width1": {4: 0, 8: 2}, "width2": {8: 0, 16: 1}, "depth1": {1: 0, 2: 1, 3: 3}, "depth2": {1: 0, 2: 1, 3: 2}}
"""Beside 1 ms for the rest: 9 ms at most."""
LOST = {
    "width1": {4: 0.2, 8: 0.0},
    "width2": {8: 0.05, 16: 0.0},
    "depth1": {1: 0.10, 2: 0.04, 3: 0.0},
    "depth2": {1: 0.02, 2: -0.01, 3: 0.0},
}
"""Confidence, of 0.9 at most; two blocks in the second stage are better than three."""
BY_HAND = [  # action, cost per ms: of (width1 0.1, width2 0.05, depth1 0.02 then 0.06, depth2 -0.01 then 0.03)
    ("depth2 3 to 2", -0.01, 8), ("depth1 3 to 2", 0.02, 6), ("depth2 2 to 1", 0.03, 5), ("width2 16 to 8", 0.05, 4),
    ("depth1 2 to 1", 0.06, 3), ("width1 8 to 4", 0.1, 1),
]  # fmt: skip


def ms(spec: ModelSpec) -> float:
    return 1.0 + sum(MS[name][int(value)] for name, value in spec.choices.items())


def confidence(spec: ModelSpec) -> float:
    return 0.9 - sum(LOST[name][int(value)] for name, value in spec.choices.items())


def toy_lab(*latencies: float, **options: Any) -> ToyLab:
    budgets = [Budget(f"{latency}ms", latency) for latency in latencies]
    return ToyLab(ToySpace((8, 8), 2), budgets, **{"ms": ms, "confidence": confidence} | options)


def chosen(step: Step) -> float:
    return next(each.cost_per_ms for each in step.candidates if each.action == step.action)


@pytest.mark.parametrize(("budget", "actions"), [(9.5, 0), (8, 1), (4.5, 4), (4, 4), (3.9, 5), (1, 6)])
def test_it_takes_the_way_worked_out_by_hand_and_stops_where_the_budget_fits(budget: float, actions: int) -> None:
    lab = toy_lab(budget)
    start, *path = Slimming().search(lab)
    assert (start.action, start.candidates, start.trial.predicted_ms) == (START, (), 9)
    assert [(step.action, step.trial.predicted_ms) for step in path] == [(a, t) for a, _, t in BY_HAND[:actions]]
    assert [chosen(step) for step in path] == pytest.approx([cost for _, cost, _ in BY_HAND[:actions]])


def test_each_step_keeps_every_candidate_with_its_cost() -> None:
    (_, first, *_) = Slimming().search(toy_lab(4))
    costs = {each.action: each.cost_per_ms for each in first.candidates}
    assert costs == pytest.approx(
        {"width1 8 to 4": 0.1, "width2 16 to 8": 0.05, "depth1 3 to 2": 0.02, "depth2 3 to 2": -0.01}
    )


def test_the_same_lab_gives_the_same_trace_and_tells_every_step_once() -> None:
    labs = [toy_lab(5, 3), toy_lab(5, 3)]
    paths = [Slimming().search(lab) for lab in labs]
    assert paths[0] == paths[1] == tuple(labs[0].steps)
    assert labs[0].batches == labs[1].batches


def test_of_actions_that_cost_the_same_the_first_choice_of_the_space_goes() -> None:
    path = Slimming().search(toy_lab(1, confidence=lambda spec: ms(spec) / 16))  # a power of two: exact
    assert [step.action for step in path[1:4]] == ["width1 8 to 4", "width2 16 to 8", "depth1 3 to 2"]


def test_the_path_goes_on_to_the_smallest_budget() -> None:
    assert Slimming().search(toy_lab(8, 4, 3))[-1].trial.predicted_ms == 3


def test_the_path_goes_on_until_a_budget_of_parameters_fits() -> None:
    lab = toy_lab()
    lab.budgets = (Budget("9ms", 9, params=5000),)
    assert Slimming().search(lab)[-1].trial.params == 5000


def test_a_budget_that_nothing_serves_ends_the_path_at_the_fastest_network() -> None:
    assert Slimming().search(toy_lab(0.5))[-1].trial.spec == ToySpace((8, 8), 2).smallest()


def test_what_saves_no_time_by_the_table_is_never_evaluated() -> None:
    lab = toy_lab(1, ms=lambda spec: ms(spec) - MS["width1"][int(spec.choices["width1"])])
    path = Slimming().search(lab)
    assert {each.trial.spec.choices["width1"] for step in path for each in step.candidates} == {8}


def test_the_path_is_anchored_every_few_actions_and_at_its_end() -> None:
    path = Slimming().search(toy_lab(3, device=lambda spec: 1.05, effort=replace(EFFORT, anchor_every=2)))
    measured = [step.measured_ms for step in path]
    assert measured == [None, None, pytest.approx(6.3), None, pytest.approx(4.2), pytest.approx(3.15)]


@pytest.mark.parametrize(("device", "drift"), [(1.25, r"-20%"), (0.8, r"\+25%")])
def test_a_device_that_disagrees_with_its_table_ends_the_search_and_says_both_numbers(
    device: float, drift: str
) -> None:
    lab = toy_lab(3, device=lambda spec: device if ms(spec) < 6 else 1.0)
    with pytest.raises(DeviceError, match=rf"{5 * device:.3f} ms .* 5\.000 ms: {drift}") as caught:
        Slimming().search(lab)
    assert "again" in caught.value.hint
    assert [step.trial.predicted_ms for step in lab.steps] == [9, 8, 6]


def test_a_device_within_a_tenth_of_its_table_is_trusted() -> None:
    for device in (0.92, 1.1):
        assert Slimming().search(toy_lab(3, device=lambda spec, device=device: device))[-1].measured_ms == 3 * device


def mixed(space: Any) -> dict[str, dict[Choice, float]]:
    """The more important, the earlier in its stage a block is, and the earlier the stage: stage4.block4 is the least."""
    found: dict[str, dict[Choice, float]] = {}
    for name, values in space.choices.items():
        stage, _, what = name.partition(".block")
        if what:
            there = (0.9 - 0.2 * int(stage[-1]) - 0.02 * int(what)) / (len(values) - 1) if len(values) > 1 else 1.0
            others = dict.fromkeys(values[1:], there)
            found[name] = {values[0]: 1 - sum(others.values()), **others}
    return found


def cheap(spec: ModelSpec) -> float:
    """Every choice takes as much time as its place in the row says."""
    space = plugins.space(spec.space, (32, 32), 10)
    return 1.0 + sum(space.choices[name].index(value) for name, value in spec.choices.items())


def cheap_blocks(spec: ModelSpec) -> float:
    """The same, but widths take no time."""
    blocks = {name: value for name, value in spec.choices.items() if not name.endswith("width")}
    smallest = plugins.space(spec.space, (32, 32), 10).smallest()
    return cheap(ModelSpec(spec.space, {**smallest.choices, **blocks}))


def slimmed(ms_of: Any = cheap) -> tuple[Step, ...]:
    space = plugins.space("efficientformer", (32, 32), 10)
    budget = Budget("most", ms_of(space.largest()) - 2)
    options = {"ms": ms_of, "confidence": lambda spec: 0.5, "importance": mixed(space)}
    return Slimming().search(ToyLab(space, [budget], **options))


def test_with_importance_only_the_least_important_block_and_the_earliest_3d_one_are_candidates() -> None:
    _, first, *_ = slimmed()
    assert {each.action for each in first.candidates} == {
        "stage1.width 48 to 32", "stage2.width 96 to 64", "stage3.width 160 to 128", "stage4.width 256 to 192",
        "stage4.block1 3d to 4d", "stage4.block4 3d to identity",
    }  # fmt: skip


def test_where_little_else_is_left_the_next_least_important_blocks_are_candidates_too() -> None:
    _, first, *_ = slimmed(cheap_blocks)
    assert {each.action for each in first.candidates} == {
        "stage4.block1 3d to 4d", "stage4.block4 3d to identity", "stage4.block3 3d to identity",
    }  # fmt: skip


def test_a_metapath_scores_what_is_there_against_what_is_not() -> None:
    assert score({"identity": 0.2, "4d": 0.5, "3d": 0.3}, "identity") == pytest.approx(4)
    assert score({"identity": 0.8, "4d": 0.2}, "identity") == pytest.approx(0.25)


def test_without_importance_every_block_may_go_at_once_or_shrink() -> None:
    space = plugins.space("efficientformer_v2", (32, 32), 10)
    _, first, *_ = Slimming().search(
        ToyLab(space, [Budget("most", cheap(space.largest()) - 1)], ms=cheap, confidence=lambda spec: 0.5)
    )
    actions = {each.action for each in first.candidates}
    assert {"stage3.block2 4 to 3", "stage3.block2 4 to 0", "stage1.block1 4 to 3", "attention 2 to 1"} <= actions
    assert "stage1.block1 4 to 0" not in actions
