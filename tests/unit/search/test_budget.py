"""Budgets as people type them, and what keeps within them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.errors import UsageError
from edge.search.budget import Budget, Limit, limits
from edge.search.trial import Evaluation, Step, Trial
from edge.spec import ModelSpec

TRIAL = Trial(ModelSpec("toy", {"width": 16}), Evaluation(0.5, 0.25), predicted_ms=2.0, params=1000, macs=5000)


def test_milliseconds_and_shares_are_read():
    assert limits("4.0ms, 50%") == (Limit("4.0ms", 4.0, None), Limit("50%", None, 0.5))


@pytest.mark.parametrize("text", ["", "4", "ms", "%", "0ms", "-1ms", "nanms", "infms", "0%", "101%", "4.0s", "4ms,"])
def test_anything_else_is_refused_with_an_example(text: str):
    with pytest.raises(UsageError) as refused:
        limits(text)
    assert "4.0ms" in refused.value.hint


def test_a_budget_given_twice_is_refused():
    with pytest.raises(UsageError, match="twice"):
        limits("4.0ms,4ms")


def test_a_network_fits_when_it_keeps_within_every_limit():
    assert Budget("2ms", 2.0).fits(TRIAL)
    assert not Budget("2ms", 1.99).fits(TRIAL)
    assert Budget("2ms", 2.0, params=1000, macs=5000).fits(TRIAL)
    assert not Budget("2ms", 2.0, params=999).fits(TRIAL)
    assert not Budget("2ms", 2.0, macs=4999).fits(TRIAL)


def test_a_step_comes_back_from_its_json_data():
    step = Step("stage1.width 32 to 16", TRIAL, measured_ms=2.125)
    assert Step.from_fields(step.fields()) == step
    assert Step.from_fields(replace(step, measured_ms=None).fields()).measured_ms is None
