"""What is learned, and the order in which it is shown: batches that depend on seed and epoch only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.errors import UsageError
from edge.preprocess import Preprocess
from edge.training.parallel import Group
from edge.training.recipe import TrainingRecipe
from edge.training.score import Score

Batch = TypeVar("Batch")


class Lesson(ABC, Generic[Batch]):
    """Numbered pictures with what is to be said of them: a kind of lesson knows its batches, its loss and its score."""

    preprocess: Preprocess
    recipe: TrainingRecipe
    seed: int

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """With which the network was built."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of each class that the network's one row of logits stands for; empty for other answers."""
        return ()

    @property
    def unreadable(self) -> tuple[str, ...]:
        """The files that were left out."""
        return ()

    @abstractmethod
    def __len__(self) -> int:
        """How many pictures are trained on."""

    @abstractmethod
    def batch(self, chosen: NDArray[np.int64], draw: np.random.Generator) -> Batch:
        """The pictures of these numbers, changed as `draw` decides."""

    @abstractmethod
    def backward(self, network: nn.Module, batch: Batch) -> float:
        """Add the gradients of the loss on a batch to those of the network; returns the loss."""

    @abstractmethod
    def score(self, network: nn.Module) -> Score:
        """How the network answers the held-out pictures, in inference mode."""

    def leave(self, network: nn.Module, folder: Path) -> None:
        """Write to the run folder what there is to see of the trained network beside its weights; usually nothing."""

    def batch_size(self, group: Group) -> int:
        """Pictures of one step, all processes together. Raises `UsageError` when they cannot be shared out."""
        size = min(self.recipe.batch_size, len(self) // group.size * group.size)
        if size < 2 * group.size or size % group.size:
            raise UsageError(
                f"a batch of {size} pictures cannot be shared by {group.size} processes",
                hint="give a --batch-size that leaves the same number, two or more, to each",
            )
        return size

    def steps(self, group: Group) -> int:
        """Whole batches of an epoch; the few pictures left over are others in each epoch."""
        return len(self) // self.batch_size(group)

    def batches(self, epoch: int, group: Group) -> Iterator[Batch]:
        """This process's share of every batch of an epoch, counted from 0."""
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self))
        draw = np.random.default_rng((self.seed, epoch, group.rank))
        torch.manual_seed(int(draw.integers(2**63)))  # for dropout, drop-path and noise in gates
        size = self.batch_size(group)
        for step in range(self.steps(group)):
            yield self.batch(order[step * size : (step + 1) * size][group.rank :: group.size], draw)


def normalised(pictures: Tensor, preprocess: Preprocess) -> Tensor:
    """Pictures (B, 3, H, W) in 0..1 as a network with this preprocessing takes them, channels last in memory."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preprocess.mean, preprocess.std))
    return ((pictures - mean) / std).contiguous(memory_format=torch.channels_last)


def floats(pictures: NDArray[np.uint8]) -> Tensor:
    """Pictures uint8 (B, H, W, 3) as float32 (B, 3, H, W) in 0..1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
