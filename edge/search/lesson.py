"""The pictures of a search as a lesson, which trains the supernet and judges its networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge.search.evaluation import Judge
from edge.search.order import SearchOrder
from edge.search.pictures import SearchPictures
from edge.search.supernet import Supernet
from edge.training.augment import NATURAL, UPRIGHT
from edge.training.classification import Classification
from edge.training.data import DIGITS
from edge.training.recipe import TrainingRecipe, default_warmup_epochs


def lesson(order: SearchOrder, pictures: SearchPictures) -> Classification:
    """With the recipe of the order's effort; the validation pictures are held out."""
    return Classification(
        pictures.training,
        pictures.validation,
        pictures.preprocess,
        recipe(order.work.supernet_epochs),
        UPRIGHT if order.data == DIGITS else NATURAL,
        order.seed,
    )


def recipe(epochs: int) -> TrainingRecipe:
    """That of `edge train`, for the supernet and for networks that learn from scratch."""
    return TrainingRecipe(epochs=epochs, warmup_epochs=default_warmup_epochs(epochs))


def fine_tuning(epochs: int) -> TrainingRecipe:
    """For networks that begin with the supernet's weights: at half the rate, so that they keep more of what they know."""
    usual = recipe(epochs)
    return replace(usual, lr=usual.lr / 2)


def judge(supernet: Supernet, pictures: Classification, calibration: int) -> Judge:
    """Judges by the pictures held out, with the batch norms of `calibration` of those trained on, or of all.

    Which, the seed draws: pictures may stand class by class.
    """
    known = pictures.training.pictures
    drawn = np.random.default_rng(pictures.seed).permutation(len(known))[:calibration]
    return Judge(supernet, pictures.held_out, known[np.sort(drawn)], pictures.preprocess, pictures.jitter)
