"""Each loss is the formula of the sheet, computed here pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edge.dense.data import IGNORE
from edge.dense.losses import LOSSES, WEIGHTS
from edge.models.m3vit_config import CHANNELS

CLASSES = 4


def prediction_of(task: str, seed: int = 0) -> torch.Tensor:
    channels = CHANNELS[task] or CLASSES
    return 2 * torch.randn(2, channels, 5, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def target_of(task: str, seed: int = 1) -> torch.Tensor:
    """Two maps of 5x6, every fifth pixel unknown."""
    draw = np.random.default_rng(seed)
    unknown = np.arange(60).reshape(2, 5, 6) % 5 == 0
    if task == "depth":
        return torch.from_numpy(np.where(unknown, np.nan, draw.uniform(1, 9, (2, 5, 6))))
    if task == "normals":
        vectors = draw.normal(size=(2, 5, 6, 3))
        unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
        return torch.from_numpy(np.where(unknown[..., None], np.nan, unit))
    highest = CLASSES if task == "seg" else 2
    return torch.from_numpy(np.where(unknown, IGNORE, draw.integers(0, highest, (2, 5, 6))).astype(np.uint8))


def by_hand(task: str, prediction: np.ndarray, target: np.ndarray) -> float:
    """The mean over known pixels, one at a time, from the definitions alone."""
    losses = []
    positive = {"edges": 0.95, "saliency": float((target == 0).sum() / (target != IGNORE).sum())}.get(task, math.nan)
    for picture, row, column in np.ndindex(2, 5, 6):
        values, truth = prediction[picture, :, row, column], target[picture, row, column]
        if np.isnan(truth).any() or (task in {"seg", "edges", "saliency"} and truth == IGNORE):
            continue
        if task == "seg":
            losses.append(-math.log(math.exp(values[truth]) / sum(math.exp(value) for value in values)))
        elif task == "depth":
            losses.append(abs(values[0] - truth))
        elif task == "normals":
            losses += [abs(part / math.hypot(*values) - true) for part, true in zip(values, truth, strict=True)]
        else:
            probability = 1 / (1 + math.exp(-values[0]))
            losses.append(-positive * math.log(probability) if truth else -(1 - positive) * math.log(1 - probability))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("task", CHANNELS)
def test_a_loss_is_its_definition_summed_pixel_by_pixel(task):
    prediction, target = prediction_of(task), target_of(task)
    assert LOSSES[task](prediction, target).item() == pytest.approx(by_hand(task, prediction.numpy(), target.numpy()))


@pytest.mark.parametrize("task", CHANNELS)
def test_what_is_predicted_for_unknown_pixels_changes_nothing(task):
    prediction, target = prediction_of(task), target_of(task)
    unknown = (torch.arange(60).reshape(2, 1, 5, 6) % 5 == 0).expand_as(prediction)
    assert LOSSES[task](torch.where(unknown, 50.0, prediction), target) == LOSSES[task](prediction, target)


@pytest.mark.parametrize("task", CHANNELS)
def test_a_batch_without_a_known_pixel_costs_nothing_and_still_has_a_gradient(task):
    prediction, target = prediction_of(task).requires_grad_(), target_of(task)
    target = torch.full_like(target, math.nan if target.is_floating_point() else IGNORE)
    loss = LOSSES[task](prediction, target)
    loss.backward()
    assert loss.item() == 0
    assert torch.count_nonzero(prediction.grad) == 0


@pytest.mark.parametrize("task", CHANNELS)
def test_following_the_gradient_makes_the_loss_smaller(task):
    prediction, target = prediction_of(task).requires_grad_(), target_of(task)
    before = LOSSES[task](prediction, target)
    before.backward()
    assert torch.isfinite(prediction.grad).all()
    assert LOSSES[task](prediction - 0.01 * prediction.grad, target) < before


def test_a_normal_of_any_length_costs_the_same():
    prediction, target = prediction_of("normals"), target_of("normals")
    torch.testing.assert_close(LOSSES["normals"](7 * prediction, target), LOSSES["normals"](prediction, target))


@pytest.mark.parametrize("value", [0, 1])
def test_saliency_that_is_one_sided_costs_nothing_where_only_that_side_exists(value):
    """All of one value: the balance gives that value no weight, as its rarity asks."""
    target = torch.full((2, 5, 6), value, dtype=torch.uint8)
    assert LOSSES["saliency"](prediction_of("saliency"), target).item() == 0


def test_the_weights_are_those_of_the_sheet():
    assert WEIGHTS == {"seg": 1, "depth": 1, "normals": 10, "edges": 50, "saliency": 5}
    assert list(LOSSES) == list(WEIGHTS) == list(CHANNELS)
