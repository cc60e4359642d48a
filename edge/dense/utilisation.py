"""How a network's tasks use its experts: shares, experts that nobody visits, balance, and how alike two tasks are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edge.dense.gallery import Gallery
from edge.dense.network import MultiTask
from edge.models.m3vit_config import grid_of
from edge.preprocess import Preprocess

BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class Utilisation:
    """`visits` int64 (T, L, E): how many of `tokens` each expert got, by task and layer; each token makes `top_k` visits."""

    tasks: tuple[str, ...]
    visits: NDArray[np.int64]
    tokens: int
    top_k: int

    @property
    def shares(self) -> NDArray[np.float64]:
        """Of each task and layer, the share of the visits that each expert got, (T, L, E); over experts they sum to 1."""
        return self.visits / self.visits.sum(axis=-1, keepdims=True)

    @property
    def unused(self) -> NDArray[np.int64]:
        """How many experts no token visited, (T, L)."""
        return (self.visits == 0).sum(axis=-1)

    @property
    def imbalance(self) -> NDArray[np.float64]:
        """CV² of the visits (T, L): unbiased variance over squared mean. 0: all experts alike; E: one expert has all."""
        experts = self.visits.shape[-1]
        return self.visits.var(axis=-1, ddof=min(1, experts - 1)) / self.visits.mean(axis=-1) ** 2

    @property
    def overlap(self) -> NDArray[np.float64]:
        """How alike two tasks use a layer's experts, (L, T, T): the sum of the smaller shares; 1: alike, 0: none in common."""
        by_layer = self.shares.transpose(1, 0, 2)
        return np.minimum(by_layer[:, :, None], by_layer[:, None]).sum(axis=-1)


@torch.no_grad()
def utilisation(network: MultiTask, scenes: Gallery, preprocess: Preprocess) -> Utilisation:
    """Count the visits of all tokens of all `scenes`, in the mode that the network is in."""
    experts = network.config.moe.experts
    visits = np.zeros((len(network.tasks), len(network.config.moe_blocks), experts), np.int64)
    for start in range(0, len(scenes), BATCH):
        inputs = torch.from_numpy(preprocess.normalise(scenes.pictures[start : start + BATCH]))
        for row, task in enumerate(network.tasks):
            for layer, routing in enumerate(network.run(inputs, task).routings):
                visits[row, layer] += torch.bincount(routing.experts.flatten(), minlength=experts).numpy()
    tokens = len(scenes) * (1 + math.prod(grid_of(network.image_size)))
    return Utilisation(network.tasks, visits, tokens, network.config.moe.top_k)
