"""The inputs on which a file is compared with its model: photographs, borders, and noise; the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge.card import TensorSpec
from edge.errors import PictureError
from edge.preprocess import Preprocess, load_picture

PHOTOGRAPHS = 32
BORDERS = 16
NOISE = 16
INPUTS = PHOTOGRAPHS + BORDERS + NOISE
FEW = (0, 1, PHOTOGRAPHS + 8, INPUTS - 1)
"""Rows for work that is too much for all of them: two photographs, a border and noise."""

Pictures = NDArray[np.uint8]


def pictures(preprocess: Preprocess, folder: Path | None = None) -> Pictures:
    """At least 64 pictures, uint8 (N, H, W, 3): the user's, or cuts of two photographs, then borders and noise."""
    height, width = preprocess.height, preprocess.width
    photographs = users(folder, preprocess) if folder is not None else _photographs(preprocess)
    return np.concatenate(
        (photographs, _borders(height, width), _noise(height, width, INPUTS - BORDERS - len(photographs)))
    )


def tensors(specs: Sequence[TensorSpec], count: int = INPUTS) -> list[NDArray[np.generic]]:
    """For inputs that are no picture: `count` rows of each, N(0, 1) (integers: small), with zeros, ones and spikes among them."""
    generator = np.random.default_rng(0)
    return [_rows(spec, count, generator) for spec in specs]


def _rows(spec: TensorSpec, count: int, generator: np.random.Generator) -> NDArray[np.generic]:
    shape = (count, *spec.shape[1:])
    if not spec.dtype.startswith("float"):
        return generator.integers(0, 2, shape).astype(spec.dtype)
    values = generator.standard_normal(shape)
    values[0], values[1], values[2] = 0, 1, 0
    values[2].flat[0] = 8.0
    return values.astype(spec.dtype)


def users(folder: Path, preprocess: Preprocess) -> Pictures:
    """Every picture below `folder`, uint8 (N, H, W, 3), by name. Raises `PictureError` when there is none, or an unreadable one."""
    found = sorted(
        file for file in folder.rglob("*") if file.suffix.lower() in {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
    )
    if not found:
        raise PictureError(f"no pictures in {folder}", hint="give a folder of PNG, JPEG, WebP or BMP files")
    return np.stack([preprocess.picture(load_picture(file)) for file in found])


def _photographs(preprocess: Preprocess) -> Pictures:
    """Cuts of random place, scale and direction from the two photographs that ship inside scikit-learn."""
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise PictureError("scikit-learn's sample photographs are missing", hint="give your own with --images DIR")
    folder = Path(spec.origin).parent / "datasets" / "images"
    photographs = [load_picture(folder / name) for name in ("china.jpg", "flower.jpg")]
    generator = np.random.default_rng(0)
    return np.stack([_cut(photographs[i % 2], preprocess, generator) for i in range(PHOTOGRAPHS)])


def _cut(photograph: Image.Image, preprocess: Preprocess, generator: np.random.Generator) -> Pictures:
    side = int(min(photograph.size) * generator.uniform(0.25, 1.0))
    left = int(generator.integers(0, photograph.width - side + 1))
    top = int(generator.integers(0, photograph.height - side + 1))
    square = photograph.crop((left, top, left + side, top + side)).rotate(90 * int(generator.integers(0, 4)))
    return preprocess.picture(square)


def _borders(height: int, width: int) -> Pictures:
    """Pictures whose content lies at the border, where padding and pooling mistakes show; saturated and empty ones too."""
    made = np.zeros((BORDERS, height, width, 3), np.uint8)
    edges = (np.s_[:1], np.s_[-1:], np.s_[:, :1], np.s_[:, -1:])
    for i, edge in enumerate(edges):
        made[i][edge] = 255
        made[4 + i] = 255
        made[4 + i][edge] = 0
    for i, corner in enumerate(((0, 0), (0, -1), (-1, 0), (-1, -1))):
        made[8 + i][corner] = (255, 128, 0)
    made[13] = 255
    made[14] = np.linspace(0, 255, width, dtype=np.uint8)[None, :, None]
    made[15, ..., 0] = 255  # pure red: swapped channels show
    return made


def _noise(height: int, width: int, count: int) -> Pictures:
    return np.random.default_rng(1).integers(0, 256, (max(count, 0), height, width, 3), dtype=np.uint8)
