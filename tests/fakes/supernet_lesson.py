"""A few made-up pictures of three classes, for supernets that are trained in seconds."""

from __future__ import annotations

import numpy as np

from edge.preprocess import Preprocess
from edge.training.augment import UPRIGHT
from edge.training.classification import Classification
from edge.training.data import Dataset
from edge.training.recipe import TrainingRecipe

CLASSES = 3
RECIPE = TrainingRecipe(epochs=3, batch_size=4, warmup_epochs=1, ema=0.9)


def lesson(size: int, count: int = 8) -> Classification:
    """`count` pictures of (size, size), two steps an epoch; held out are the same ones."""
    draw = np.random.default_rng(0)
    found = Dataset(
        draw.integers(0, 256, (count, size, size, 3), np.uint8), np.arange(count) % CLASSES, ("a", "b", "c")
    )
    return Classification(found, found, Preprocess(size, size), RECIPE, UPRIGHT, seed=0)
