"""The lesson of scenes: a network learns the map of each of its tasks, one task's gradients at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.dense.evaluate import evaluate
from edge.dense.gallery import Gallery, mirrored
from edge.dense.losses import LOSSES, WEIGHTS
from edge.dense.network import MultiTask, multi_task
from edge.dense.routing import leave_routing
from edge.models.m3vit_moe import BALANCE_WEIGHT, balance_loss
from edge.preprocess import Preprocess
from edge.training.lesson import Lesson, floats, normalised
from edge.training.recipe import TrainingRecipe
from edge.training.score import Score

MIRRORED = 0.5
"""The share of scenes that are shown as in a mirror, each time anew."""


@dataclass(frozen=True, slots=True)
class SceneBatch:
    """Pictures float32 (B, 3, H, W) in 0..1 and the target of each task, (B, H, W) or, for normals, (B, H, W, 3)."""

    pictures: Tensor
    targets: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class DenseLesson(Lesson[SceneBatch]):
    """Scenes to learn from and scenes to be judged by. `classes` are those of the segmentation.

    `channels` is what the network was built with as its number of classes: those of the segmentation where it has one, else
    the channels of its map.
    """

    training: Gallery
    held_out: Gallery
    classes: tuple[str, ...]
    channels: int
    preprocess: Preprocess
    recipe: TrainingRecipe
    seed: int

    @property
    def num_classes(self) -> int:
        return self.channels

    @property
    def unreadable(self) -> tuple[str, ...]:
        return (*self.training.unreadable, *self.held_out.unreadable)

    def __len__(self) -> int:
        return len(self.training)

    def batch(self, chosen: NDArray[np.int64], draw: np.random.Generator) -> SceneBatch:
        scenes = mirrored(self.training.chosen(chosen), draw.random(len(chosen)) < MIRRORED)
        return SceneBatch(floats(scenes.pictures), {task: torch.from_numpy(maps) for task, maps in scenes.maps.items()})

    def backward(self, network: nn.Module, batch: SceneBatch) -> float:
        """Σ over tasks of weight · loss + 0.01 · balance loss; a task's activations are gone before the next task's."""
        answering = self._asked(network)
        inputs = normalised(batch.pictures, self.preprocess)
        total = 0.0
        for task in answering.tasks:
            loss = task_loss(answering, inputs, task, batch.targets[task])
            loss.backward()
            total += loss.item()
        return total

    def score(self, network: nn.Module) -> Score:
        return evaluate(self._asked(network.eval()), self.held_out, self.preprocess, len(self.classes))

    def leave(self, network: nn.Module, folder: Path) -> None:
        leave_routing(self._asked(network.eval()), self.held_out, self.preprocess, folder)

    def _asked(self, network: nn.Module) -> MultiTask:
        return multi_task(network, "this network")


def task_loss(network: MultiTask, inputs: Tensor, task: str, target: Tensor) -> Tensor:
    """What one task adds to the loss of a batch, a scalar: its own loss with its weight, and that its experts be balanced."""
    passed = network.run(inputs, task)
    own = WEIGHTS[task] * LOSSES[task](passed.map, target)
    return own + BALANCE_WEIGHT * balance_loss(passed.routings) if passed.routings else own
