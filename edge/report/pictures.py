"""The pictures that a report asks about: those held out of the training where it is known, else photographs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge import probe, runfolder
from edge.errors import UsageError
from edge.preprocess import Preprocess
from edge.training.data import held_out

PHOTOGRAPHS = 6
"""How many are shown of a model whose own held-out pictures are not known."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Pictures uint8 (N, H, W, 3), their classes (N,) where they are known, and in words what they are."""

    pictures: NDArray[np.uint8]
    truths: NDArray[np.int64] | None
    words: str


def asked(run: Path | None, preprocess: Preprocess) -> Asked:
    """The pictures at the size of `preprocess`: held out of `run`, or, where they are not here, cuts of two photographs.

    Raises `UsageError` when the run cannot be read.
    """
    if run is None:
        return _photographs(preprocess, "Cuts of two photographs: this model's own pictures are not known.")
    card = runfolder.read(run)
    try:
        found = held_out(card.data, preprocess, card.seed)
    except UsageError as error:
        return _photographs(preprocess, f"Cuts of two photographs: the held-out pictures are not here ({error}).")
    words = (
        f"Pictures held out of the training on {card.data}: first those that somebody got wrong, then class by class."
    )
    return Asked(found.pictures, found.labels, words)


def _photographs(preprocess: Preprocess, words: str) -> Asked:
    return Asked(probe.pictures(preprocess)[:PHOTOGRAPHS], None, words)
