"""What the spaces of networks in four stages have in common: their sizes by picture, and the names of their choices."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

SMALL_SIDE, SMALLER_SIDE = 128, 64
"""Pictures with a side below the first take the table of small networks; below the second, the stem halves only once."""

Four = tuple[int, int, int, int]
FourChoices = tuple[Sequence[int], Sequence[int], Sequence[int], Sequence[int]]


def is_small(image_size: tuple[int, int]) -> bool:
    """Whether the table of small networks serves pictures of (height, width)."""
    return min(image_size) < SMALL_SIDE


def stem_strides(image_size: tuple[int, int]) -> tuple[int, int]:
    """Those of the stem's two convolutions: the first stage sees maps of 16x16 at 32 and at 64 pixels, 56x56 at 224."""
    return (2, 1) if min(image_size) < SMALLER_SIDE else (2, 2)


def width_of(stage: int) -> str:
    """The name of the choice, for a stage counted from 0."""
    return f"stage{stage + 1}.width"


def blocks_of(stage: int, most: int) -> tuple[str, ...]:
    """The names of the choices about each of a stage's blocks, of which there are `most`."""
    return tuple(f"stage{stage + 1}.block{index + 1}" for index in range(most))


def drawn_blocks(random: Random, most: int) -> tuple[int, ...]:
    """Which blocks stay: the first and, evenly, none to all of the others."""
    return 0, *sorted(random.sample(range(1, most), random.randrange(most)))
