"""The story of a search as data."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edge.errors import UsageError
from edge.measurement import Source
from edge.search.story import SETTINGS, STORY, Outcome, Role, Story, read, write
from tests.fakes import stories


@pytest.fixture(scope="module")
def story() -> Story:
    return stories.story()


@pytest.mark.parametrize("told", [stories.story, stories.begun])
def test_a_story_comes_back_whole_from_json(told):
    story = told()
    assert Story.from_fields(json.loads(json.dumps(story.fields(), allow_nan=False))) == story


def test_choices_that_are_numbers_stay_numbers(story):
    mixed = replace(story, importance={"stage1.block2": {0: 0.25, 2: 0.75}}, removal={"stage1.depth": 0.1})
    assert Story.from_fields(json.loads(json.dumps(mixed.fields()))).importance == {"stage1.block2": {0: 0.25, 2: 0.75}}


@pytest.mark.parametrize("spoilt", [{"trials": [{}]}, {"reachable_ms": [1]}, {"more": 1}, {"tag": "{}"}])
def test_what_is_no_story_is_refused(story, spoilt):
    with pytest.raises(UsageError):
        Story.from_fields({**story.fields(), **spoilt})


def test_each_budget_has_its_network_and_the_uniform_one(story):
    assert [outcome.budget for outcome in story.outcomes] == list(stories.BUDGETS)
    for outcome in story.outcomes:
        assert outcome.best.role is Role.BEST
        assert outcome.uniform.role is Role.UNIFORM
        assert outcome.best.budget_ms == outcome.uniform.budget_ms == outcome.budget.ms


def test_what_was_trained_is_what_was_chosen(story):
    budget, other = story.budgets[0], story.trials[3]
    trained = tuple(replace(each, spec=other.spec) if each.role is Role.BEST else each for each in story.finished)
    assert replace(story, finished=trained).chosen(budget) == other


def test_until_then_the_best_that_fits_is(story):
    under_way = replace(story, finished=())
    for budget in under_way.budgets:
        chosen = under_way.chosen(budget)
        assert budget.fits(chosen)
        assert chosen.evaluation.confidence == max(
            trial.evaluation.confidence for trial in story.trials if budget.fits(trial)
        )
    assert stories.begun().chosen(stories.BUDGETS[0]) is None


def test_a_network_keeps_its_budget_up_to_five_percent_above(story):
    network = replace(story.finished[0], budget_ms=4.0)
    assert replace(network, measured_ms=4.19).keeps()
    assert not replace(network, measured_ms=4.21).keeps()


def test_a_comparison_counts_points_and_time(story):
    best = replace(story.finished[0], accuracy=0.95, measured_ms=3.6)
    uniform = replace(story.finished[1], accuracy=0.935, measured_ms=4.0)
    outcome = Outcome(story.budgets[0], best, uniform)
    assert outcome.comparison == "1.50 points more accurate, 10.0% faster (measured)"
    worse = Outcome(story.budgets[0], uniform, replace(best, measured_ms=4.0))
    assert worse.comparison == "1.50 points less accurate, as fast (measured)"


def test_what_was_not_timed_alike_is_not_compared(story):
    outcome = story.outcomes[0]
    assert outcome.comparison != ""
    assert replace(outcome, uniform=replace(outcome.uniform, source=Source.EMULATED)).comparison == ""
    assert replace(outcome, uniform=None).comparison == ""


def test_a_story_is_found_in_the_folder_of_its_search(story, tmp_path):
    write(story, tmp_path)
    assert read(tmp_path) == story


def test_a_folder_without_a_story_is_refused(tmp_path):
    with pytest.raises(UsageError, match="holds no search"):
        read(tmp_path)
    (tmp_path / SETTINGS).write_text("{}")
    with pytest.raises(UsageError, match="has not tried its networks yet"):
        read(tmp_path)
    (tmp_path / STORY).write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path)
