"""A network as its source made it, before the user's overrides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from edge.card import TensorSpec, WeightsOrigin
from edge.preprocess import Preprocess


@dataclass(frozen=True, slots=True)
class Network:
    """A module and what its source knows of it.

    `weights` None: freshly initialised. `preprocess` None: the source does not say. `output_names` empty: likewise.
    """

    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    weights: WeightsOrigin | None = None
    preprocess: Preprocess | None = None
    labels: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()


def picture(size: tuple[int, int]) -> TensorSpec:
    """The input of a network that takes one normalised picture of `size` (height, width)."""
    return TensorSpec("image", (1, 3, *size), "float32", "NCHW")


def picture_size(inputs: tuple[TensorSpec, ...]) -> tuple[int, int] | None:
    """(height, width) when the only input is one float picture (1, 3, H, W), else None."""
    match inputs:
        case (TensorSpec(shape=(_, 3, height, width), dtype="float32", layout="" | "NCHW"),):
            return height, width
        case _:
            return None


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, torch draws from `seed`; afterwards its random state is as it was."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        yield
