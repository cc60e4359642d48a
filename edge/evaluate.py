"""How many labelled pictures a file, or the PyTorch model it was made from, classifies correctly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.card import Card
from edge.check import execute
from edge.errors import UsageError

if TYPE_CHECKING:
    from edge.models.sources import Model

BATCH = 128
"""Pictures that PyTorch takes at once; files take one at a time, as on a phone."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """`correct` of `pictures` whose largest output is the class they are labelled with."""

    correct: int
    pictures: int

    @property
    def share(self) -> float:
        return self.correct / self.pictures

    def points_from(self, other: Accuracy) -> float:
        """How far two accuracies are apart, in percentage points."""
        return 100 * abs(self.share - other.share)


def accuracy(logits: NDArray[Any], labels: NDArray[Any]) -> Accuracy:
    """Count right answers: `logits` (N, K) against `labels` (N,), class numbers. NaN or infinity in an answer is wrong.

    Raises `UsageError` when there is nothing to count, or when the shapes do not belong together.
    """
    if logits.ndim != 2 or labels.shape != (len(logits),) or not len(labels):
        raise UsageError(
            f"no accuracy from outputs {logits.shape} and labels {labels.shape}",
            hint="give a classifier, and one label per picture",
        )
    right = (logits.argmax(axis=1) == labels) & np.isfinite(logits).all(axis=1)
    return Accuracy(int(right.sum()), len(labels))


def file_logits(
    path: Path, card: Card, pictures: NDArray[np.uint8], *, log: Path, timeout_s: float
) -> NDArray[np.float32]:
    """What a file answers to `pictures` (N, H, W, 3), prepared by its own card: (N, K), run in a worker process.

    Raises `BadArtifactError` when the file dies of them and `NotExecutableHereError` when nothing here can run it.
    """
    return execute(path, [card.file_input(pictures)], log=log, timeout_s=timeout_s)[0]


def model_logits(model: Model, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the PyTorch model answers to `pictures` (N, H, W, 3), prepared by its own preprocessing: (N, K).

    Raises `UsageError` when the model does not take one picture.
    """
    import torch

    from edge.expected import flatten

    if model.preprocess is None:
        raise UsageError(f"{model.reference} does not take one picture", hint="accuracy is counted on pictures")
    normalised = torch.from_numpy(model.preprocess.normalise(pictures))
    with torch.no_grad():
        batches = [flatten(model.module(batch))[0] for batch in normalised.split(BATCH)]
    return torch.cat(batches).float().numpy()
