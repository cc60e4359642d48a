"""The lesson of a supernet: in every step the largest network learns the labels, and smaller ones learn from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.search.lesson import judge
from edge.search.mixing import HOTTEST, MixedSupernet, temperature
from edge.space import SearchSpace
from edge.spec import ModelSpec
from edge.training.classification import Classification, LabelledBatch
from edge.training.lesson import Lesson, normalised
from edge.training.objective import Answer, objective
from edge.training.parallel import Group
from edge.training.score import Score

DRAWN = 2
"""Random networks in each step, as in the sandwich rule (US-Nets, arXiv 1903.05134); a mixture takes the place of one."""
SCALED = 0.5
"""How often a random network is scaled alike everywhere, as all of US-Nets are; in the others each choice is drawn on its own.
Ours: choices that are drawn each on its own are hardly ever alike, and the supernet would know too little of such networks."""


@dataclass(frozen=True, slots=True)
class SandwichBatch:
    """Labelled pictures, the networks that learn from the largest one's answers to them, and the mixture's temperature."""

    labelled: LabelledBatch
    specs: tuple[ModelSpec, ...]
    temperature: float = HOTTEST


class Sandwich(Lesson[SandwichBatch]):
    """Labelled pictures for all networks of a space at once. Each process of a group draws its own random networks."""

    def __init__(self, space: SearchSpace, pictures: Classification, calibration: int) -> None:
        self.preprocess, self.recipe, self.seed = pictures.preprocess, pictures.recipe, pictures.seed
        self._space, self._pictures, self.calibration = space, pictures, calibration

    @property
    def num_classes(self) -> int:
        return self._pictures.num_classes

    @property
    def labels(self) -> tuple[str, ...]:
        return self._pictures.labels

    @property
    def unreadable(self) -> tuple[str, ...]:
        return self._pictures.unreadable

    def __len__(self) -> int:
        return len(self._pictures)

    def batch(self, chosen: NDArray[np.int64], draw: np.random.Generator) -> SandwichBatch:
        labelled = self._pictures.batch(chosen, draw)
        random = Random(int(draw.integers(2**63)))
        count = DRAWN - 1 if self._space.mixed_choices else DRAWN
        return SandwichBatch(labelled, (self._space.smallest(), *(self._drawn(random) for _ in range(count))))

    def _drawn(self, random: Random) -> ModelSpec:
        return self._space.uniform(random.random()) if random.random() < SCALED else self._space.draw(random)

    def batches(self, epoch: int, group: Group) -> Iterator[SandwichBatch]:
        cooled = temperature(epoch, self.recipe.epochs)
        return (replace(batch, temperature=cooled) for batch in super().batches(epoch, group))

    def backward(self, network: nn.Module, batch: SandwichBatch) -> float:
        """Add the gradients of all networks of a step, unweighted; returns the loss of the largest.

        The others learn the distribution of the largest one's answer (in-place distillation), but the mixture, like the
        largest, learns the labels: imitating the largest, it would find that large is what matters.
        """
        assert isinstance(network, MixedSupernet)
        pictures = normalised(batch.labelled.pictures, self.preprocess)
        smoothing, targets = self.recipe.label_smoothing, batch.labelled.targets
        answer = network.network(self._space.largest())(pictures)
        loss = objective(answer, targets, label_smoothing=smoothing)
        loss.backward()
        for spec in batch.specs:
            objective(network.network(spec)(pictures), distribution(answer), label_smoothing=0.0).backward()
        if self._space.mixed_choices:
            mixed = network.mixture(batch.temperature)(pictures)
            objective(mixed, targets, label_smoothing=smoothing).backward()
        return loss.item()

    def score(self, network: nn.Module) -> Score:
        """How the largest network answers the validation pictures."""
        assert isinstance(network, MixedSupernet)
        return Score(judge(network, self._pictures, self.calibration)(self._space.largest()).accuracy)


@torch.no_grad()
def distribution(answer: Answer) -> Tensor:
    """(B, K) that sum to 1: how probable the network holds each class; of two heads, by the mean of their logits."""
    logits = torch.stack(answer).mean(0) if isinstance(answer, tuple) else answer
    return logits.softmax(1)
