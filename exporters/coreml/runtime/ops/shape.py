"""Operators that give the same values another shape: reshape, transpose, join, split."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from exporters.coreml.runtime.ops.table import Table, family, flag, integer, integers

TABLE: Table = {}
operator = family(TABLE)
SECOND = torch.tensor(1)
Several = Tensor | tuple[Tensor, ...]
"""Some scalars: a list operand, or the one value that a list of one arrives as."""


@operator("shape")
def shape(x: Tensor) -> Tensor:
    return torch.tensor(x.shape, dtype=torch.int32)


@operator("reshape")
def reshape(x: Tensor, shape: Tensor) -> Tensor:
    """A 0 keeps an axis, counted from the last (an axis before the first has size 1); a -1 takes what is left."""
    sizes = integers(shape)
    kept = [1] * max(len(sizes) - x.dim(), 0) + list(x.shape[max(x.dim() - len(sizes), 0) :])
    return x.reshape([kept[axis] if size == 0 else size for axis, size in enumerate(sizes)])


@operator("reshape_like")
def reshape_like(
    x: Tensor, ref_tensors: tuple[Tensor, ...], begins: Several, ends: Several, end_masks: Several
) -> Tensor:
    """To some axes of each reference in turn: from its begin to its end, or to the last where the mask is set."""
    sizes: list[int] = []
    for reference, begin, end, whole in zip(ref_tensors, *map(_each, (begins, ends, end_masks)), strict=True):
        sizes += reference.shape[begin : None if whole else end]
    return x.reshape(sizes)


def _each(values: Several) -> list[int]:
    return [integer(value) for value in values] if isinstance(values, tuple) else integers(values)


@operator("flatten2d")
def flatten2d(x: Tensor, axis: Tensor = SECOND) -> Tensor:
    at = integer(axis)
    return x.reshape(math.prod(x.shape[:at]), math.prod(x.shape[at:]))


@operator("transpose")
def transpose(x: Tensor, perm: Tensor) -> Tensor:
    return x.permute(integers(perm))


@operator("squeeze")
def squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    """Of the axes named, those of size 1 go."""
    return x.squeeze() if axes is None else x.squeeze(integers(axes))


@operator("expand_dims")
def expand_dims(x: Tensor, axes: Tensor) -> Tensor:
    rank = x.dim() + axes.numel()
    for axis in sorted(axis % rank for axis in integers(axes)):
        x = x.unsqueeze(axis)
    return x


@operator("concat")
def concat(values: tuple[Tensor, ...], axis: Tensor, interleave: Tensor | bool = False) -> Tensor:
    """One after the other; interleaved, the first of each, then the second of each, and so on. Scalars make a vector."""
    if not values[0].dim():
        return torch.stack(values)
    if not flag(interleave):
        return torch.cat(values, integer(axis))
    along = integer(axis) % values[0].dim()
    return torch.stack(values, along + 1).flatten(along, along + 1)


@operator("stack")
def stack(values: tuple[Tensor, ...], axis: Tensor) -> Tensor:
    return torch.stack(values, integer(axis))


@operator("split")
def split(
    x: Tensor, axis: Tensor, num_splits: Tensor | None = None, split_sizes: Tensor | None = None
) -> Tensor | Sequence[Tensor]:
    along = integer(axis)
    if split_sizes is not None:
        parts = x.split(integers(split_sizes), along)
    elif num_splits is not None:
        parts = x.split(x.shape[along] // integer(num_splits), along)
    else:
        raise ValueError("neither num_splits nor split_sizes is given")
    return parts if len(parts) > 1 else parts[0]
