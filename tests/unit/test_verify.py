"""The comparison and the verdict."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge.spec import Precision
from edge.tolerances import TOLERANCES
from edge.verify import Verdict, compare, judge

FP32 = TOLERANCES[Precision.FP32]


@pytest.fixture
def logits() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((64, 10)).astype(np.float32)


def test_equal_outputs_have_no_error(logits):
    comparison = compare([logits], [logits.copy()])
    assert comparison.relative_error == 0
    assert comparison.top1_agreement == 1
    assert comparison.sqnr_db == math.inf
    assert judge(comparison, FP32, "test").verdict == "ok"


def test_relative_error_is_the_largest_difference_over_the_spread(logits):
    moved = logits.copy()
    moved[3, 4] += 0.5
    assert compare([logits], [moved]).relative_error == pytest.approx(0.5 / logits.astype(np.float64).std(), rel=1e-5)


def test_sqnr_is_signal_power_over_error_power_in_decibels():
    signal = np.array([[3.0, -4.0]] * 2)
    assert compare([signal], [signal * 1.1]).sqnr_db == pytest.approx(20)


def test_a_constant_offset_lowers_the_raw_sqnr_but_not_the_centred_one(logits):
    comparison = compare([logits], [logits + 1])
    assert comparison.sqnr_db < 5
    assert comparison.sqnr_centred_db > 100


def test_outputs_with_nan_fail(logits):
    broken = logits.copy()
    broken[0, 0] = np.nan
    verdict = judge(compare([logits], [broken]), FP32, "test")
    assert verdict.verdict == "failed"
    assert verdict.comparison.top1_agreement == 0


def test_a_model_that_ignores_its_input_proves_nothing():
    constant = np.tile(np.linspace(-1, 1, 10), (64, 1))
    verdict = judge(compare([constant], [constant]), FP32, "test")
    assert verdict.verdict == "failed"
    assert "hardly depends on its input" in verdict.reason


def test_one_flipped_class_fails_at_fp32_even_when_the_error_is_small():
    model = np.zeros((64, 3))
    model[:, 0] = np.linspace(5, 9, 64)
    model[0, 1] = model[0, 0] - 1e-4
    file = model.copy()
    file[0, 1] += 2e-4
    verdict = judge(compare([model], [file]), FP32, "test")
    assert verdict.comparison.relative_error < FP32.relative_error
    assert "top-1" in verdict.reason


def test_the_worst_of_several_outputs_counts(logits):
    assert compare([logits, logits], [logits, logits * 2]).sqnr_db == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("found", [[], [np.zeros((64, 9))], [np.zeros((64, 10))] * 2])
def test_outputs_of_another_number_or_shape_are_an_error(logits, found):
    with pytest.raises(ValueError, match="output"):
        compare([logits], found)


def test_json_fields_hold_no_infinity(logits):
    fields = judge(compare([logits], [logits]), FP32, "test").fields()
    assert fields["sqnr_db"] is None
    assert fields["verdict"] == "ok"


def test_a_verdict_without_execution_has_every_field_of_the_contract():
    fields = Verdict("not executed", "no runtime", "nothing").fields()
    assert set(fields) >= {
        "executed_by",
        "inputs",
        "verdict",
        "relative_error",
        "sqnr_db",
        "sqnr_centred_db",
        "top1_agreement",
        "tolerance",
        "reason",
    }


def test_of_maps_every_pixel_has_its_say():
    maps = np.random.default_rng(0).standard_normal((4, 3, 8, 8))
    wrong = maps.copy()
    wrong[1, :, 2, 3] = np.roll(wrong[1, :, 2, 3], 1)  # one pixel of 256 takes another class
    comparison = compare([maps], [wrong])
    assert comparison.top1_agreement == pytest.approx(255 / 256)
    assert judge(comparison, FP32, "test").verdict == "failed"


def test_a_map_of_one_channel_has_no_classes_and_is_held_to_its_error():
    depth = np.random.default_rng(0).standard_normal((4, 1, 8, 8))
    comparison = compare([depth], [depth])
    assert comparison.top1_agreement is None
    assert judge(comparison, FP32, "test").verdict == "ok"
    assert judge(compare([depth], [depth + 0.1]), FP32, "test").verdict == "failed"


def test_of_several_outputs_those_with_classes_agree_or_not(logits):
    depth = np.random.default_rng(0).standard_normal((64, 1, 8, 8))
    comparison = compare([logits, depth], [-logits, depth])
    assert comparison.top1_agreement is not None
    assert comparison.top1_agreement < 1
