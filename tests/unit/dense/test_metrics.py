"""Each metric against a definition of its own: scikit-learn, scipy, or pixels by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from scipy.spatial.distance import cdist
from sklearn.metrics import f1_score, jaccard_score, mean_squared_error, precision_score, recall_score

from edge.dense.data import IGNORE
from edge.dense.metrics import (
    EDGE_THRESHOLDS,
    SALIENCY_THRESHOLDS,
    AngularError,
    EdgeF,
    MeanIoU,
    SaliencyIoU,
    delta_m,
    fresh_metrics,
)
from edge.errors import UsageError
from edge.models.m3vit_config import CHANNELS

BATCHES, SHAPE = 3, (2, 12, 10)


def draw(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def binary(seed: int, share: float = 0.2) -> np.ndarray:
    """Six maps of zeros and ones, a tenth unknown."""
    rng = draw(seed)
    maps = (rng.random((BATCHES, *SHAPE)) < share).astype(np.uint8)
    return np.where(rng.random(maps.shape) < 0.1, IGNORE, maps).astype(np.uint8)


def logits(seed: int, channels: int = 1) -> np.ndarray:
    return 2 * draw(seed).normal(size=(BATCHES, SHAPE[0], channels, *SHAPE[1:])).astype(np.float32)


def measured(metric, predictions, targets):
    for prediction, target in zip(predictions, targets, strict=True):
        metric.update(prediction, target)
    return metric


def probabilities(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values.astype(np.float64)))


def test_miou_is_scikit_learns_over_all_batches():
    predictions, targets = logits(0, 5), draw(1).integers(0, 4, (BATCHES, *SHAPE))  # class 4 is only ever predicted
    targets[:, 0, :3] = IGNORE
    known = targets != IGNORE
    expected = jaccard_score(targets[known], predictions.argmax(axis=2)[known], average="macro")
    assert measured(MeanIoU(5), predictions, targets).value() == pytest.approx(expected)


def test_miou_leaves_out_a_class_that_neither_side_has():
    target = np.array([[[0, 0], [1, 1]]])
    prediction = np.eye(7)[np.array([[[0, 1], [1, 1]]])].transpose(0, 3, 1, 2)
    assert measured(MeanIoU(7), [prediction], [target]).value() == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_rmse_is_over_all_known_pixels_not_a_mean_of_batches():
    predictions, targets = logits(2), draw(3).uniform(1, 5, (BATCHES, *SHAPE))
    targets[0, :, :9] = np.nan  # a batch with few known pixels weighs little
    known = ~np.isnan(targets)
    expected = math.sqrt(mean_squared_error(targets[known], predictions[:, :, 0][known]))
    assert measured(fresh_metrics(7)["depth"], predictions, targets).value() == pytest.approx(expected)


def test_the_angle_between_a_normal_and_one_turned_by_a_known_angle_is_that_angle():
    turned = np.radians(np.linspace(0, 180, 120)).reshape(1, 12, 10)
    target = np.broadcast_to([0.0, 0.0, -1.0], (1, 12, 10, 3)).copy()
    prediction = 3 * np.stack([np.sin(turned), np.zeros_like(turned), -np.cos(turned)], axis=1)
    assert measured(AngularError(), [prediction], [target]).value() == pytest.approx(90)
    target[0, 0] = np.nan
    assert measured(AngularError(), [prediction], [target]).value() == pytest.approx(np.degrees(turned[0, 1:]).mean())


def test_the_length_of_a_predicted_normal_does_not_matter_and_no_direction_is_a_right_angle():
    target = draw(4).normal(size=(2, 12, 10, 3))
    target /= np.linalg.norm(target, axis=-1, keepdims=True)
    assert measured(AngularError(), [1e3 * target.transpose(0, 3, 1, 2)], [target]).value() == pytest.approx(
        0, abs=1e-4
    )
    assert measured(AngularError(), [np.zeros((2, 3, 12, 10))], [target]).value() == pytest.approx(90)


def test_the_f_of_edges_is_the_one_that_dilation_gives():
    predictions, targets = logits(5), binary(6)
    scores = []
    for threshold in EDGE_THRESHOLDS:
        predicted = (probabilities(predictions[:, :, 0]) >= threshold) & (targets != IGNORE)
        square = np.ones((1, 1, 3, 3))
        precision = (predicted & binary_dilation(targets == 1, square)).sum() / max(predicted.sum(), 1)
        recall = (binary_dilation(predicted, square) & (targets == 1)).sum() / (targets == 1).sum()
        scores.append(2 * precision * recall / max(precision + recall, 1e-12))
    assert measured(EdgeF(), predictions, targets).value() == pytest.approx(max(scores))


def test_the_f_of_edges_is_the_one_that_distances_between_pixels_give():
    target = (draw(7).random(SHAPE) < 0.05).astype(np.uint8)
    predicted = draw(8).random(SHAPE) < 0.05
    right = found = 0
    for true, guess in zip(target, predicted, strict=True):
        apart = cdist(np.argwhere(true), np.argwhere(guess), "chebyshev") <= 1
        right, found = right + apart.any(axis=0).sum(), found + apart.any(axis=1).sum()
    precision, recall = right / predicted.sum(), found / target.sum()
    sure = np.where(predicted, 20.0, -20.0)[:, None]
    assert measured(EdgeF(), [sure], [target]).value() == pytest.approx(2 * precision * recall / (precision + recall))


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (1, 1.0), (2, 0.0)])
def test_an_edge_may_be_off_by_one_pixel_and_not_by_two(shift, expected):
    target = np.zeros((1, 8, 8), np.uint8)
    target[0, :, 3] = 1
    sure = np.where(np.roll(target, shift, axis=2), 20.0, -20.0)[:, None]
    assert measured(EdgeF(), [sure], [target]).value() == pytest.approx(expected)


def test_the_best_threshold_is_one_for_the_whole_data_set():
    """Two pictures that each have a perfect threshold of their own, and none in common."""
    target = np.zeros((1, 8, 8), np.uint8)
    target[0, 0] = 1
    low, high = (np.where(target, edge, rest)[:, None] for edge, rest in ((-1.0, -3.0), (3.0, 1.0)))
    assert measured(EdgeF(), [low], [target]).value() == measured(EdgeF(), [high], [target]).value() == 1
    assert measured(EdgeF(), [low, high], [target, target]).value() < 1


def test_saliency_is_the_mean_of_the_pictures_at_the_best_threshold():
    predictions, targets = logits(9).reshape(6, 12, 10), binary(10, 0.4).reshape(6, 12, 10)
    tables = {"iou": [], "precision": [], "recall": []}
    for threshold in SALIENCY_THRESHOLDS:
        pairs = [(t[t != IGNORE] == 1, probabilities(p[t != IGNORE]) > threshold)
                 for p, t in zip(predictions, targets, strict=True)]  # fmt: skip
        tables["iou"].append(np.mean([jaccard_score(*pair) for pair in pairs]))
        tables["precision"].append(np.mean([precision_score(*pair, zero_division=0.0) for pair in pairs]))
        tables["recall"].append(np.mean([recall_score(*pair) for pair in pairs]))
    precision, recall = np.array(tables["precision"]), np.array(tables["recall"])
    metric = measured(SaliencyIoU(), predictions.reshape(3, 2, 1, 12, 10), targets.reshape(3, 2, 12, 10))
    assert metric.value() == pytest.approx(max(tables["iou"]))
    assert metric.extras()["max F"] == pytest.approx((2 * precision * recall / (precision + recall)).max())


def test_the_f_of_one_picture_is_scikit_learns():
    prediction, target = logits(11)[0, :1], binary(12, 0.4)[0, :1] % 254
    scores = [f1_score(target.ravel(), probabilities(prediction).ravel() > level) for level in SALIENCY_THRESHOLDS]
    assert measured(SaliencyIoU(), [prediction], [target]).extras()["max F"] == pytest.approx(max(scores))


def test_nothing_salient_and_nothing_predicted_is_perfect():
    assert measured(SaliencyIoU(), [np.full((1, 1, 4, 4), -9.0)], [np.zeros((1, 4, 4), np.uint8)]).value() == 1


@pytest.mark.parametrize("task", CHANNELS)
def test_a_metric_that_saw_no_known_pixel_is_not_a_number(task):
    target = np.full((1, 4, 4, 3)[: 4 if task == "normals" else 3], np.nan if task in {"depth", "normals"} else IGNORE)
    metric = fresh_metrics(7)[task]
    metric.update(np.zeros((1, CHANNELS[task] or 7, 4, 4)), target)
    assert math.isnan(metric.value())


def test_delta_m_of_hand_numbers_counts_a_smaller_error_as_better():
    change = delta_m({"seg": 0.6, "depth": 0.4}, {"seg": 0.5, "depth": 0.5}, {"seg": True, "depth": False})
    assert change.by_task == pytest.approx({"seg": 0.2, "depth": 0.2})
    assert change.mean == pytest.approx(0.2)


def test_delta_m_has_no_share_of_nothing():
    with pytest.raises(UsageError, match="value of seg is 0"):
        delta_m({"seg": 0.6}, {"seg": 0.0}, {"seg": True})


@pytest.mark.parametrize(("seg", "rmse", "percent"), [(44.4, 0.587, 0.40), (45.6, 0.589, 1.59), (49.1, 0.557, 8.32)])
def test_delta_m_is_the_sheets_recomputed_column_for_nyud(seg, rmse, percent):
    """Only the arithmetic from row to column is checked: the rows themselves are recalled literature."""
    higher = {task: fresh_metrics(40)[task].higher_is_better for task in ("seg", "depth")}
    change = delta_m({"seg": seg, "depth": rmse}, {"seg": 43.9, "depth": 0.585}, higher)
    assert 100 * change.mean == pytest.approx(percent, abs=0.005)
