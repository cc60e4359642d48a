"""Operators that move values about: reshape, transpose, slice, split, pad."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.coreml.runtime.ops.table import Table, family, flag, integer, integers

TABLE: Table = {}
operator = family(TABLE)


@operator("reshape")
def reshape(x: Tensor, shape: Tensor) -> Tensor:
    """A 0 keeps the axis at its place, a -1 takes what is left."""
    return x.reshape([x.shape[axis] if size == 0 else size for axis, size in enumerate(integers(shape))])


@operator("transpose")
def transpose(x: Tensor, perm: Tensor) -> Tensor:
    return x.permute(integers(perm))


@operator("squeeze")
def squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(integers(axes))


@operator("expand_dims")
def expand_dims(x: Tensor, axes: Tensor) -> Tensor:
    rank = x.dim() + axes.numel()
    for axis in sorted(axis % rank for axis in integers(axes)):
        x = x.unsqueeze(axis)
    return x


@operator("concat")
def concat(values: tuple[Tensor, ...], axis: Tensor, interleave: Tensor | bool = False) -> Tensor:
    """One after the other; interleaved, the first of each, then the second of each, and so on."""
    if not flag(interleave):
        return torch.cat(values, integer(axis))
    along = integer(axis) % values[0].dim()
    return torch.stack(values, along + 1).flatten(along, along + 1)


@operator("split")
def split(
    x: Tensor, axis: Tensor, num_splits: Tensor | None = None, split_sizes: Tensor | None = None
) -> tuple[Tensor, ...]:
    along = integer(axis)
    if split_sizes is not None:
        return x.split(integers(split_sizes), along)
    if num_splits is None:
        raise ValueError("neither num_splits nor split_sizes is given")
    return x.split(x.shape[along] // integer(num_splits), along)


@operator("slice_by_index")
def slice_by_index(
    x: Tensor,
    begin: Tensor,
    end: Tensor,
    stride: Tensor | None = None,
    begin_mask: Tensor | None = None,
    end_mask: Tensor | None = None,
    squeeze_mask: Tensor | None = None,
) -> Tensor:
    """As Python slices; a mask opens that end, a negative stride runs backwards, a squeezed axis is an index."""
    rank = x.dim()
    none = [False] * rank
    opens, closes, squeezes = (
        mask.tolist() if mask is not None else none for mask in (begin_mask, end_mask, squeeze_mask)
    )
    steps = integers(stride) if stride is not None else [1] * rank
    starts, stops = integers(begin), integers(end)
    for axis in range(rank):
        if squeezes[axis]:
            x = x.narrow(axis, starts[axis] % x.shape[axis], 1)
            continue
        part = slice(
            None if opens[axis] else starts[axis], None if closes[axis] else stops[axis], steps[axis]
        ).indices(x.shape[axis])
        x = _sliced(x, axis, range(*part))
    return x.squeeze([axis for axis in range(rank) if squeezes[axis]])


def _sliced(x: Tensor, axis: int, cells: range) -> Tensor:
    if cells == range(x.shape[axis]):
        return x
    if cells.step > 0 and len(cells):
        return x.narrow(axis, cells.start, cells[-1] - cells.start + 1)[(slice(None),) * axis + (slice(None, None, cells.step),)]
    return x.index_select(axis, torch.tensor(list(cells), dtype=torch.int64, device=x.device))
