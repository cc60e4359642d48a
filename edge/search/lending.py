"""Which part of a large weight a small network borrows: the first channels, the middle of a kernel, the nearest offsets."""

from __future__ import annotations

import math

from torch import Tensor

from edge.errors import WeightsError

KERNEL_RANK = 4
"""Of a convolution's weight: (out, in, height, width)."""

BIAS_TABLE = "attention_biases"
"""The name of attention biases (heads, n·n): column r·n + c is for two places r rows and c columns apart."""


def lent(name: str, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The part of `weight` that the weight `name` of a smaller network has, of `shape`; gradients flow back into it.

    The first of each axis, but of a kernel the middle rows and columns, and of a table of attention biases those of places
    as far apart as the smaller map has. Raises `WeightsError` where `weight` is too small.
    """
    if len(shape) != weight.dim() or any(size > most for size, most in zip(shape, weight.shape, strict=True)):
        raise WeightsError(
            f"{name} of {tuple(weight.shape)} cannot be lent as {shape}",
            hint="SearchSpace.covering must have a point whose weight is the largest",
        )
    if name.endswith(BIAS_TABLE) and shape[1] != weight.shape[1]:
        return _corner(name, weight, shape)
    before = [0] * len(shape)
    if len(shape) == KERNEL_RANK:
        before[2:] = ((most - size) // 2 for size, most in zip(shape[2:], weight.shape[2:], strict=True))
    return weight[tuple(slice(start, start + size) for start, size in zip(before, shape, strict=True))]


def _corner(name: str, table: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The biases of a smaller square map, which are those of the first rows and columns of the table as a picture."""
    heads, places = shape
    side, most = math.isqrt(places), math.isqrt(table.shape[1])
    if side * side != places or most * most != table.shape[1]:
        raise WeightsError(
            f"{name} is for {table.shape[1]} places, and {places} of them are not known",
            hint="only the tables of square maps are lent to smaller ones",
        )
    return table.unflatten(1, (most, most))[:heads, :side, :side].flatten(1)
