"""The sizes of the maps inside a network, as arithmetic that needs no torch."""

from __future__ import annotations

from edge.errors import UsageError

MapSize = tuple[int, int]
"""Rows and columns of a feature map."""


def stage_maps(image_size: MapSize, stem_strides: tuple[int, int]) -> tuple[MapSize, ...]:
    """The map sizes of the four stages: two padded 3x3 convolutions in the stem, then one of stride 2 per transition.

    Raises `UsageError` for a picture smaller than one cell of the last stage.
    """
    cell = stem_strides[0] * stem_strides[1] * 8
    if min(image_size) < cell:
        raise UsageError(
            f"an image of {image_size[0]}x{image_size[1]} is too small for this network",
            hint=f"the last stage sees one place per {cell}x{cell} pixels, so use at least that",
        )
    sizes = [image_size]
    for stride in (*stem_strides, 2, 2, 2):
        sizes.append(strided(sizes[-1], stride))
    return tuple(sizes[2:])


def strided(size: MapSize, stride: int) -> MapSize:
    """The map left by a 3x3 convolution of padding 1: every `stride`-th row and column, the first included."""
    return -(-size[0] // stride), -(-size[1] // stride)
