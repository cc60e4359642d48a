"""What is learned, and the order and shape in which it is shown: batches that depend on seed and epoch only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edge.errors import UsageError
from edge.preprocess import Preprocess
from edge.training.augment import Jitter, Mixture
from edge.training.data import Dataset
from edge.training.objective import Answer, distilled_objective, objective
from edge.training.parallel import Group
from edge.training.recipe import TrainingRecipe


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures float32 (B, 3, H, W) in 0..1, and the share of each class in each of them, (B, K)."""

    pictures: Tensor
    targets: Tensor


@dataclass(frozen=True, slots=True)
class Lesson:
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

    def batch_size(self, group: Group) -> int:
        """Pictures of one step, all processes together. Raises `UsageError` when they cannot be shared out."""
        size = min(self.recipe.batch_size, len(self.training.labels) // group.size * group.size)
        if size < 2 * group.size or size % group.size:
            raise UsageError(
                f"a batch of {size} pictures cannot be shared by {group.size} processes",
                hint="give a --batch-size that leaves the same number, two or more, to each",
            )
        return size

    def steps(self, group: Group) -> int:
        """Whole batches of an epoch; the few pictures left over are others in each epoch."""
        return len(self.training.labels) // self.batch_size(group)

    def batches(self, epoch: int, group: Group) -> Iterator[Batch]:
        """This process's share of every batch of an epoch, counted from 0."""
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.training.labels))
        draw = np.random.default_rng((self.seed, epoch, group.rank))
        torch.manual_seed(int(draw.integers(2**63)))  # for dropout and drop-path
        size, mixture = self.batch_size(group), Mixture(self.recipe.mixup, self.recipe.cutmix)
        for step in range(self.steps(group)):
            chosen = order[step * size : (step + 1) * size][group.rank :: group.size]
            pictures = self.jitter(_floats(self.training.pictures[chosen]), draw)
            labels = torch.from_numpy(self.training.labels[chosen])
            yield Batch(*mixture(pictures, F.one_hot(labels, len(self.training.classes)).float(), draw))

    def loss(self, answer: Answer, batch: Batch) -> Tensor:
        """The loss of what the network answers to a batch."""
        smoothing = self.recipe.label_smoothing
        if self.teacher is None:
            return objective(answer, batch.targets, label_smoothing=smoothing)
        with torch.no_grad():
            taught = self.teacher(batch.pictures)
        return distilled_objective(answer, batch.targets, taught, self.recipe.distillation, label_smoothing=smoothing)


def normalised(pictures: Tensor, preprocess: Preprocess) -> Tensor:
    """Pictures (B, 3, H, W) in 0..1 as a network with this preprocessing takes them, channels last in memory."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preprocess.mean, preprocess.std))
    return ((pictures - mean) / std).contiguous(memory_format=torch.channels_last)


def _floats(pictures: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
