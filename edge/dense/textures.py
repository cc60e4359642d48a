"""What surfaces are painted with: patterns that fill space, and photographs on flat sheets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from PIL import Image

from edge.dense.shapes import Floats

Pattern = Callable[[Floats], Floats]
"""Points (3, N) in metres to the share (N,), 0..1, of the second of two colours."""

PHOTOGRAPHS = ("china.jpg", "flower.jpg")
"""Those that ship inside scikit-learn, under licences that it names."""
PHOTOGRAPH_WIDTH = 160
"""Pixels that a photograph is shrunk to: about what a panel covers, so that a picture of it does not flicker."""


class Texture(Protocol):
    """The colour of the points of a surface, in axes of the thing itself."""

    def colours(self, points: Floats) -> Floats:
        """Points (3, N) to red, green and blue (3, N), 0..1."""


@dataclass(frozen=True, slots=True, eq=False)
class Painted(Texture):
    """Two colours (3,) mixed by a pattern."""

    pattern: Pattern
    one: Floats
    other: Floats

    def colours(self, points: Floats) -> Floats:
        share = self.pattern(points)
        return self.one[:, None] * (1 - share) + self.other[:, None] * share


@dataclass(frozen=True, slots=True, eq=False)
class Photograph(Texture):
    """A picture float64 (h, w, 3), 0..1, that fills a sheet of the half sizes given in metres."""

    picture: Floats
    half_width: float
    half_height: float

    def colours(self, points: Floats) -> Floats:
        height, width, _ = self.picture.shape
        column = np.clip((points[0] / self.half_width + 1) / 2 * width, 0, width - 1).astype(int)
        row = np.clip((points[1] / self.half_height + 1) / 2 * height, 0, height - 1).astype(int)
        return self.picture[row, column].T


def plain(points: Floats) -> Floats:
    """The first colour alone."""
    return np.zeros(points.shape[1])


def checker(period: float, shift: Floats) -> Pattern:
    """Cubes of alternating colours."""
    return lambda points: np.floor((points + shift[:, None]) / period).sum(axis=0) % 2


def stripes(period: float, direction: Floats) -> Pattern:
    """Slices of alternating colours across `direction` (3,)."""
    return lambda points: np.floor(direction @ points / period) % 2


def clouds(waves: Floats) -> Pattern:
    """Smooth noise: what is left of `waves` (n, 3), in radians per metre, each bent by the one before."""

    def mixed(points: Floats) -> Floats:
        level = np.zeros(points.shape[1])
        for wave in waves:
            level = np.sin(wave @ points + 2 * level)
        return 0.5 + 0.5 * level

    return mixed


@cache
def photographs() -> tuple[Floats, ...]:
    """Scikit-learn's sample pictures, float64 (h, w, 3), 0..1, `PHOTOGRAPH_WIDTH` wide."""
    from sklearn.datasets import load_sample_image

    return tuple(_shrunk(Image.fromarray(load_sample_image(name))) for name in PHOTOGRAPHS)


def _shrunk(picture: Image.Image) -> Floats:
    size = (PHOTOGRAPH_WIDTH, round(picture.height * PHOTOGRAPH_WIDTH / picture.width))
    return np.asarray(picture.resize(size, Image.Resampling.BOX), np.float64) / 255
