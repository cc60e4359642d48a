"""Parts of a tensor, by position: slices, updates of slices, windows and reversals."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.coreml.runtime.ops.table import Table, family, integer, integers

TABLE: Table = {}
operator = family(TABLE)
FIRST = torch.tensor(0)
ONE = torch.tensor(1)


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
    cells = _cells(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    part = _backwards(_forwards(x, cells), cells)
    return part if squeeze_mask is None else part.squeeze(_where(squeeze_mask))


@operator("slice_update")
def slice_update(
    x: Tensor,
    update: Tensor,
    begin: Tensor,
    end: Tensor,
    stride: Tensor | None = None,
    begin_mask: Tensor | None = None,
    end_mask: Tensor | None = None,
    squeeze_mask: Tensor | None = None,
) -> Tensor:
    """`x` with `update` where `slice_by_index` would read."""
    cells = _cells(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    result = x.clone(memory_format=torch.contiguous_format)
    part = _forwards(result, cells)
    part.copy_(_backwards(update.reshape(part.shape), cells))
    return result


def _cells(
    x: Tensor,
    begin: Tensor,
    end: Tensor,
    stride: Tensor | None,
    begin_mask: Tensor | None,
    end_mask: Tensor | None,
    squeeze_mask: Tensor | None,
) -> list[range]:
    """The positions that a slice takes on each axis."""
    starts, stops = integers(begin), integers(end)
    steps = integers(stride) if stride is not None else [1] * x.dim()
    opens, closes, single = (_where(mask) for mask in (begin_mask, end_mask, squeeze_mask))
    cells = []
    for axis, size in enumerate(x.shape):
        if axis in single:
            at = starts[axis] % size
            cells.append(range(at, at + 1))
            continue
        start, stop = None if axis in opens else starts[axis], None if axis in closes else stops[axis]
        cells.append(range(size)[start : stop : steps[axis]])
    return cells


def _where(mask: Tensor | None) -> list[int]:
    return [] if mask is None else [axis for axis, is_set in enumerate(mask.tolist()) if is_set]


def _forwards(x: Tensor, cells: list[range]) -> Tensor:
    """A view of the cells, those of a backward range in forward order: torch has no negative stride."""
    forward = [each if each.step > 0 else each[::-1] for each in cells]
    return x[tuple(slice(each.start, each.stop, each.step) if each else slice(0, 0) for each in forward)]


def _backwards(x: Tensor, cells: list[range]) -> Tensor:
    axes = [axis for axis, each in enumerate(cells) if each.step < 0]
    return x.flip(axes) if axes else x


@operator("slice_by_size")
def slice_by_size(x: Tensor, begin: Tensor, size: Tensor) -> Tensor:
    """A size of -1 takes all that is left."""
    for axis, (start, count) in enumerate(zip(integers(begin), integers(size), strict=True)):
        first = start % x.shape[axis]
        x = x.narrow(axis, first, x.shape[axis] - first if count == -1 else count)
    return x


@operator("crop")
def crop(x: Tensor, crop_height: Tensor, crop_width: Tensor) -> Tensor:
    """Without so many rows at the top and bottom, and columns at the left and right."""
    top, bottom = integers(crop_height)
    left, right = integers(crop_width)
    return x.narrow(-2, top, x.shape[-2] - top - bottom).narrow(-1, left, x.shape[-1] - left - right)


@operator("sliding_windows")
def sliding_windows(x: Tensor, axis: Tensor, size: Tensor, stride: Tensor = ONE) -> Tensor:
    """(..., windows, size, ...) in place of `axis`."""
    along = integer(axis) % x.dim()
    return x.unfold(along, integer(size), integer(stride)).movedim(-1, along + 1)


@operator("reverse")
def reverse(x: Tensor, axes: Tensor | None = None) -> Tensor:
    return x.flip(integers(axes) if axes is not None else list(range(x.dim())))


@operator("reverse_sequence")
def reverse_sequence(x: Tensor, lengths: Tensor, seq_axis: Tensor = FIRST, batch_axis: Tensor = FIRST) -> Tensor:
    """Of each entry of the batch, the first `lengths` of the sequence in reverse and the rest as it was."""
    batch, along = integer(batch_axis) % x.dim(), integer(seq_axis) % x.dim()
    ends = lengths.to(x.device).reshape([-1 if axis == batch else 1 for axis in range(x.dim())])
    place = torch.arange(x.shape[along], device=x.device).reshape(
        [-1 if axis == along else 1 for axis in range(x.dim())]
    )
    return x.gather(along, torch.where(place < ends, ends - 1 - place, place).expand(x.shape))
