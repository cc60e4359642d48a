"""Real photographs to learn from without a download: small crops of pictures that ship inside scikit-learn and scikit-image.

`python tests/benchmarks/photographs.py OUT [--seed N]` writes OUT/train/CLASS/*.png and OUT/val/CLASS/*.png; a class is a
photograph, and the task is to tell which of them a crop is cut from. Each photograph is divided into blocks, some for `val`,
and a block gives one crop: no pixel is in two files, so what is held out, here or by a search, was never seen.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import skimage
import sklearn
from numpy.typing import NDArray
from PIL import Image

SKIMAGE = Path(skimage.__file__).parent / "data"
SKLEARN = Path(sklearn.__file__).parent / "datasets/images"
CC0 = "CC0"
PUBLIC = "public domain, or no known copyright restrictions"
BY = "CC BY 2.0"

PHOTOGRAPHS: dict[str, tuple[Path, str]] = {
    "astronaut": (SKIMAGE / "astronaut.png", PUBLIC),
    "brick": (SKIMAGE / "brick.png", CC0),
    "camera": (SKIMAGE / "camera.png", CC0),
    "cat": (SKIMAGE / "chelsea.png", CC0),
    "china": (SKLEARN / "china.jpg", f"{BY}, danielbuechele"),
    "coffee": (SKIMAGE / "coffee.png", CC0),
    "coins": (SKIMAGE / "coins.png", PUBLIC),
    "flower": (SKLEARN / "flower.jpg", f"{BY}, vultilion"),
    "grass": (SKIMAGE / "grass.png", CC0),
    "gravel": (SKIMAGE / "gravel.png", CC0),
}
"""Where each is, and its licence by the documentation of `skimage.data` 0.26 and by scikit-learn's README of the folder. They
are as many as there are digits, so that both share their latency tables."""

ROWS = 16
"""Blocks along the shorter side of a photograph."""
LEAST, MOST = 0.9, 1.0
"""The side of a crop as a share of its block's."""
COUNTS = {"train": 192, "val": 64}
"""Crops per class: together as many as a square photograph has blocks."""
PIXELS = 16
"""The side of a crop's file; crops are shrunk to it, so that a photograph is not betrayed by its size."""


@dataclass(frozen=True, slots=True)
class Area:
    """A square of a photograph, in its pixels."""

    left: int
    top: int
    side: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom, as pillow has it."""
        return self.left, self.top, self.left + self.side, self.top + self.side


def blocks(width: int, height: int) -> list[Area]:
    """The squares that divide a photograph, row by row."""
    side = min(width, height) // ROWS
    return [Area(column * side, row * side, side) for row in range(height // side) for column in range(width // side)]


def areas(width: int, height: int, draw: np.random.Generator) -> Iterator[tuple[str, Area]]:
    """Every crop of a photograph with the part that it is for."""
    every = blocks(width, height)
    drawn = iter(draw.permutation(len(every)))
    for part, count in COUNTS.items():
        for place in islice(drawn, count):
            yield part, _inside(every[place], draw)


def _inside(block: Area, draw: np.random.Generator) -> Area:
    side = round(block.side * draw.uniform(LEAST, MOST))
    left, top = (int(start + draw.integers(block.side - side + 1)) for start in (block.left, block.top))
    return Area(left, top, side)


def crop(photograph: Image.Image, area: Area) -> NDArray[np.uint8]:
    """Grey, for colour alone would tell most photographs apart."""
    cut = photograph.crop(area.box).convert("L")
    return np.asarray(cut.resize((PIXELS, PIXELS), Image.Resampling.BICUBIC))


def cut(out: Path, seed: int) -> None:
    """Write all crops; the same seed writes the same bytes."""
    for number, (name, (path, _)) in enumerate(PHOTOGRAPHS.items()):
        draw = np.random.default_rng((seed, number))
        with Image.open(path) as photograph:
            for place, (part, area) in enumerate(areas(*photograph.size, draw)):
                file = out / part / name / f"{place:03}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(crop(photograph, area)).save(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cut(options.out, options.seed)
    for name, (path, licence) in PHOTOGRAPHS.items():
        print(f"{name:10} {'scikit-learn' if path.parent == SKLEARN else 'scikit-image'} {path.name:22} {licence}")
    total = {part: count * len(PHOTOGRAPHS) for part, count in COUNTS.items()}
    print(f"{options.out}: {total['train']} crops to train on, {total['val']} held out, {len(PHOTOGRAPHS)} classes")


if __name__ == "__main__":
    main()
