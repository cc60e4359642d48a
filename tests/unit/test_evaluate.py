"""Accuracy counts what is right, and the same pictures reach PyTorch and a file through their own preprocessing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edge.card import TensorSpec, WeightsOrigin
from edge.errors import UsageError
from edge.evaluate import BATCH, Accuracy, accuracy, model_logits
from edge.models.sources import Model
from edge.preprocess import Preprocess


class MeanColour(nn.Module):
    """Answers with the mean of each channel."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.mean(dim=(2, 3))


def model(module: nn.Module, preprocess: Preprocess | None) -> Model:
    picture, answer = TensorSpec("x", (1, 3, 4, 4)), TensorSpec("y", (1, 3))
    return Model("toy", module, (picture,), (answer,), WeightsOrigin("none"), preprocess)


def test_accuracy_counts_the_largest_output() -> None:
    logits = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    assert accuracy(logits, np.array([1, 0, 0])) == Accuracy(2, 3)


def test_an_answer_that_is_not_finite_is_wrong() -> None:
    logits = np.array([[np.nan, 1.0], [np.inf, 0.0], [1.0, 0.0]])
    assert accuracy(logits, np.array([0, 0, 0])) == Accuracy(1, 3)


@pytest.mark.parametrize(("logits", "labels"), [((3, 2), (2,)), ((0, 2), (0,)), ((3,), (3,)), ((3, 2), (3, 1))])
def test_shapes_that_do_not_belong_together_are_refused(logits: tuple[int, ...], labels: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="no accuracy"):
        accuracy(np.zeros(logits), np.zeros(labels, int))


def test_the_distance_of_two_accuracies_is_in_points_either_way() -> None:
    better, worse = Accuracy(359, 360), Accuracy(358, 360)
    assert better.points_from(worse) == worse.points_from(better) == pytest.approx(100 / 360)


def test_the_model_sees_normalised_pictures_and_all_of_them() -> None:
    mean, std = (0.5, 0.25, 0.0), (0.5, 0.5, 2.0)
    pictures = np.random.default_rng(0).integers(0, 256, (BATCH + 3, 4, 4, 3), dtype=np.uint8)
    logits = model_logits(model(MeanColour(), Preprocess(4, 4, mean=mean, std=std)), pictures)
    expected = (pictures.mean(axis=(1, 2)) / 255 - mean) / std
    assert logits.shape == (BATCH + 3, 3)
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_a_model_that_takes_no_picture_is_refused() -> None:
    with pytest.raises(UsageError, match="does not take one picture"):
        model_logits(model(MeanColour(), None), np.zeros((1, 4, 4, 3), np.uint8))
