"""What is measured of each task over many batches, and Δm, which compares a network of all with networks of one each.

Predictions are raw network maps (B, C, H, W), targets the stacked maps of `Scene`s, both as numpy arrays; unknown pixels
count nowhere. A metric that has seen no known pixel is NaN. Shares are 0..1, not percent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.dense.data import IGNORE
from edge.errors import UsageError

Array = NDArray[Any]

EDGE_THRESHOLDS = np.linspace(0.01, 0.99, 99)
EDGE_TOLERANCE = 1
"""Pixels in both directions by which an edge may be off."""
SALIENCY_THRESHOLDS = np.linspace(0.2, 0.9, 15)
"""Those of the multi-task community's benchmark."""


class Metric(ABC):
    """One number about one task, added up batch by batch."""

    name: str
    higher_is_better: bool

    @abstractmethod
    def update(self, prediction: Array, target: Array) -> None:
        """Add a batch."""

    @abstractmethod
    def value(self) -> float:
        """The metric over everything added so far."""

    def extras(self) -> Mapping[str, float]:
        """Further numbers by name that Δm does not count."""
        return {}


class MeanIoU(Metric):
    """Segmentation: intersection over union of each class over all pixels, mean over the classes seen or predicted."""

    name, higher_is_better = "mIoU", True

    def __init__(self, classes: int) -> None:
        self.confusion = np.zeros((classes, classes), np.int64)

    def update(self, prediction: Array, target: Array) -> None:
        known = target != IGNORE
        classes = len(self.confusion)
        pairs = target[known].astype(np.int64) * classes + prediction.argmax(axis=1)[known]
        self.confusion += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    def value(self) -> float:
        shared = np.diag(self.confusion)
        union = self.confusion.sum(axis=0) + self.confusion.sum(axis=1) - shared
        return _ratio((shared[union > 0] / union[union > 0]).sum(), (union > 0).sum())


class RMSE(Metric):
    """Depth: root of the mean squared difference over all known pixels, in metres."""

    name, higher_is_better = "RMSE", False

    def __init__(self) -> None:
        self.squares, self.pixels = 0.0, 0

    def update(self, prediction: Array, target: Array) -> None:
        known = np.isfinite(target)
        self.squares += float(np.square(prediction[:, 0][known].astype(np.float64) - target[known]).sum())
        self.pixels += int(known.sum())

    def value(self) -> float:
        return float(np.sqrt(_ratio(self.squares, self.pixels)))


class AngularError(Metric):
    """Normals: mean angle to the true direction over all known pixels, in degrees; a zero vector is 90 off."""

    name, higher_is_better = "mean angular error", False

    def __init__(self) -> None:
        self.degrees, self.pixels = 0.0, 0

    def update(self, prediction: Array, target: Array) -> None:
        known = np.isfinite(target).all(axis=-1)
        found = prediction.transpose(0, 2, 3, 1)[known].astype(np.float64)
        length = np.maximum(np.linalg.norm(found, axis=-1), 1e-12)
        cosine = (found * target[known]).sum(axis=-1) / length
        self.degrees += float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).sum())
        self.pixels += int(known.sum())

    def value(self) -> float:
        return _ratio(self.degrees, self.pixels)


class EdgeF(Metric):
    """Edges: F at the one threshold that is best for the whole data set, of pixels that agree within `EDGE_TOLERANCE`.

    A predicted edge is right when a true one lies in the square of that many pixels around it; a true one is found when a
    predicted one does. This is not the benchmark of the papers (seism): it neither thins the prediction nor pairs pixels
    one to one, so thick edges cost less here, and its values cannot stand beside published ones.
    """

    name, higher_is_better = f"F within {EDGE_TOLERANCE} px", True

    def __init__(self) -> None:
        self.predicted, self.right, self.found = (np.zeros(len(EDGE_THRESHOLDS), np.int64) for _ in range(3))
        self.edges = 0

    def update(self, prediction: Array, target: Array) -> None:
        known, edges = target != IGNORE, target == 1
        probability = np.where(known, _sigmoid(prediction[:, 0]), 0.0)
        self.predicted += _above(probability[known])
        self.right += _above(probability[known & _largest_around(edges)])
        self.found += _above(_largest_around(probability)[edges])
        self.edges += int(edges.sum())

    def value(self) -> float:
        if not self.edges:
            return float("nan")
        precision = self.right / np.maximum(self.predicted, 1)
        return float(_f(precision, self.found / self.edges).max())


class SaliencyIoU(Metric):
    """Saliency: intersection over union per picture, mean over pictures, at the best of `SALIENCY_THRESHOLDS`.

    Extra: the best F of the mean precision and mean recall. Where a share has nothing to count (nothing salient, nothing
    predicted) it is 1 when both are empty, else 0.
    """

    name, higher_is_better = "mIoU", True

    def __init__(self) -> None:
        self.pictures: list[Array] = []

    def update(self, prediction: Array, target: Array) -> None:
        for logits, truth in zip(prediction[:, 0], target, strict=True):
            known = truth != IGNORE
            if known.any():
                self.pictures.append(_shares(_sigmoid(logits[known]), truth[known] == 1))

    def value(self) -> float:
        return float(np.mean(self.pictures, axis=0)[0].max()) if self.pictures else float("nan")

    def extras(self) -> Mapping[str, float]:
        if not self.pictures:
            return {}
        _, precision, recall = np.mean(self.pictures, axis=0)
        return {"max F": float(_f(precision, recall).max())}


def fresh_metrics(classes: int) -> dict[str, Metric]:
    """One metric per task that has seen nothing yet, for a segmentation into that many classes."""
    return {
        "seg": MeanIoU(classes),
        "depth": RMSE(),
        "normals": AngularError(),
        "edges": EdgeF(),
        "saliency": SaliencyIoU(),
    }


@dataclass(frozen=True, slots=True)
class DeltaM:
    """By how much of the single-task value each task got better (1.0 = twice as good); negative where it got worse."""

    by_task: Mapping[str, float]

    @property
    def mean(self) -> float:
        """Δm of the moe_fpga sheet §1.3: the mean over the tasks."""
        return sum(self.by_task.values()) / len(self.by_task)


def delta_m(multi: Mapping[str, float], single: Mapping[str, float], higher_is_better: Mapping[str, bool]) -> DeltaM:
    """Compare the values of a network of all tasks with those of networks of one task each, task by task of `multi`.

    Raises `UsageError` where a single-task value is 0, as no change is a share of that.
    """
    if nothing := [task for task in multi if not single[task]]:
        raise UsageError(
            f"the single-task value of {', '.join(nothing)} is 0, so no change can be a share of it",
            hint="train the single-task networks longer",
        )
    change = {task: (value - single[task]) / single[task] for task, value in multi.items()}
    return DeltaM({task: each if higher_is_better[task] else -each for task, each in change.items()})


def _shares(probability: Array, truth: Array) -> Array:
    """Intersection over union, precision and recall (3, thresholds) of one picture."""
    predicted = probability[None] > SALIENCY_THRESHOLDS[:, None]
    both = (predicted & truth).sum(axis=1)
    found, salient = predicted.sum(axis=1), np.full(len(predicted), truth.sum())
    empty = (found + salient) == 0
    totals = np.stack((found + salient - both, found, salient))
    return np.where(totals > 0, both / np.maximum(totals, 1), empty)


def _above(probabilities: Array) -> NDArray[np.int64]:
    """How many are at or above each of `EDGE_THRESHOLDS`."""
    return len(probabilities) - np.searchsorted(np.sort(probabilities), EDGE_THRESHOLDS)


def _largest_around(maps: Array) -> Array:
    """Each value of (B, H, W) replaced by the largest of the square of `EDGE_TOLERANCE` pixels around it."""
    reach = EDGE_TOLERANCE
    for axis in (1, 2):
        padded = np.pad(maps, [(reach, reach) if axis == each else (0, 0) for each in range(3)])
        maps = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=axis).max(axis=-1)
    return maps


def _sigmoid(logits: Array) -> NDArray[np.float64]:
    return 0.5 + 0.5 * np.tanh(0.5 * logits.astype(np.float64))  # does not overflow


def _f(precision: Array, recall: Array) -> Array:
    return 2 * precision * recall / np.maximum(precision + recall, 1e-12)


def _ratio(total: float, count: int) -> float:
    return float(total / count) if count else float("nan")
