"""The lesson of labelled pictures: each has a class, and the network learns to name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.dense.network import MultiTask
from edge.errors import UsageError
from edge.models.sources import resolve_fresh
from edge.preprocess import Preprocess
from edge.training.augment import NATURAL, UPRIGHT, Jitter, Mixture
from edge.training.data import DIGITS, Dataset, Source, decode, find
from edge.training.lesson import Lesson, floats, normalised
from edge.training.loop import Leaky
from edge.training.objective import Answer, distilled_objective, objective
from edge.training.order import TrainingOrder
from edge.training.recipe import TrainingRecipe, default_leak_epochs
from edge.training.score import Score
from edge.training.start import Start, Teacher, bare, start
from edge.training.subject import Subject

EVALUATION_BATCH = 256


@dataclass(frozen=True, slots=True)
class LabelledBatch:
    """Pictures float32 (B, 3, H, W) in 0..1, and the share of each class in each of them, (B, K)."""

    pictures: Tensor
    targets: Tensor


@dataclass(frozen=True, slots=True)
class Classification(Lesson[LabelledBatch]):
    """The pictures, the way they are changed, the recipe, and the teacher if there is one.

    `teacher` maps pictures (B, 3, H, W) in 0..1 to logits (B, K).
    """

    training: Dataset
    held_out: Dataset
    preprocess: Preprocess
    recipe: TrainingRecipe
    jitter: Jitter
    seed: int
    teacher: Callable[[Tensor], Tensor] | None = None

    @property
    def num_classes(self) -> int:
        return len(self.training.classes)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.training.classes

    @property
    def unreadable(self) -> tuple[str, ...]:
        return (*self.training.unreadable, *self.held_out.unreadable)

    def __len__(self) -> int:
        return len(self.training.labels)

    def batch(self, chosen: NDArray[np.int64], draw: np.random.Generator) -> LabelledBatch:
        pictures = self.jitter(floats(self.training.pictures[chosen]), draw)
        targets = F.one_hot(torch.from_numpy(self.training.labels[chosen]), self.num_classes).float()
        mixture = Mixture(self.recipe.mixup, self.recipe.cutmix)
        return LabelledBatch(*mixture(pictures, targets, draw))

    def backward(self, network: nn.Module, batch: LabelledBatch) -> float:
        loss = self._loss(network(normalised(batch.pictures, self.preprocess)), batch)
        loss.backward()
        return loss.item()

    def score(self, network: nn.Module) -> Score:
        return Score(accuracy(network, self.held_out, self.preprocess))

    def _loss(self, answer: Answer, batch: LabelledBatch) -> Tensor:
        smoothing = self.recipe.label_smoothing
        if self.teacher is None:
            return objective(answer, batch.targets, label_smoothing=smoothing)
        with torch.no_grad():
            taught = self.teacher(batch.pictures)
        return distilled_objective(answer, batch.targets, taught, self.recipe.distillation, label_smoothing=smoothing)


@dataclass(frozen=True, slots=True)
class LabelledPictures(Subject):
    """Pictures with classes, found but not decoded."""

    source: Source

    @property
    def fingerprint(self) -> str:
        return self.source.fingerprint

    def start(self, order: TrainingOrder) -> Start:
        try:
            return start(order.request, order.data, len(self.source.classes))
        except UsageError:
            _require_no_tasks(order)
            raise

    def lesson(self, order: TrainingOrder, begun: Start) -> Classification:
        classes = self.source.classes
        return Classification(
            training=decode(self.source.training, classes, begun.preprocess, workers=order.workers),
            held_out=decode(self.source.held_out, classes, begun.preprocess, workers=order.workers),
            preprocess=begun.preprocess,
            recipe=replace(order.recipe, leak_epochs=_leak_epochs(order, begun)),
            jitter=UPRIGHT if order.data == DIGITS else NATURAL,
            seed=order.request.seed,
            teacher=None if order.teacher is None else Teacher(order.teacher, len(classes)),
        )

    def name(self, order: TrainingOrder) -> str:
        return order.data if order.data == DIGITS else str(Path(order.data).resolve())


def labelled_pictures(order: TrainingOrder) -> LabelledPictures:
    """The pictures that an order names. Raises `UsageError`."""
    if order.scenes is not None:
        raise UsageError(f"--scenes is for scenes that are drawn, not for {order.data}", hint="leave --scenes out")
    return LabelledPictures(find(order.data, order.request.seed))


def accuracy(network: nn.Module, pictures: Dataset, preprocess: Preprocess) -> float:
    """The share of `pictures` whose largest output is their own class, in inference mode."""
    network.eval()
    right = 0
    for start_at in range(0, len(pictures.labels), EVALUATION_BATCH):
        part = slice(start_at, start_at + EVALUATION_BATCH)
        inputs = torch.from_numpy(preprocess.normalise(pictures.pictures[part]))
        with torch.no_grad():
            answers = network(inputs).argmax(1).numpy()
        right += int((answers == pictures.labels[part]).sum())
    return right / len(pictures.labels)


def _require_no_tasks(order: TrainingOrder) -> None:
    """Raise a clearer `UsageError` for a network that answers with maps."""
    if isinstance(resolve_fresh(bare(order.request)).module, MultiTask):
        raise UsageError(
            f"{order.request.reference} answers with maps, and {order.data} has classes",
            hint="--data scenes has a map for every task",
        ) from None


def _leak_epochs(order: TrainingOrder, begun: Start) -> int:
    if isinstance(begun.network, Leaky):
        return default_leak_epochs(order.recipe.epochs) if order.leak_epochs is None else order.leak_epochs
    if order.leak_epochs is not None:
        raise UsageError(f"{begun.reference} has no leaky activations", hint="--leak-epochs is for VanillaNet")
    return 0
