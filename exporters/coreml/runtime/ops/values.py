"""Constants, conversions, and tensors made of settings: filled, counted, repeated, padded."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from exporters.coreml.runtime.datatypes import DATA_TYPES
from exporters.coreml.runtime.ops.sizes import affordable
from exporters.coreml.runtime.ops.table import Table, Value, family, flag, integer, integers, number

TABLE: Table = {}
operator = family(TABLE)
HELD = {data_type.name: data_type.held for data_type in DATA_TYPES.values()}
ZERO = torch.tensor(0.0)
FIRST, LAST = torch.tensor(0), torch.tensor(-1)
OFF, ON = torch.tensor(0), torch.tensor(1)
ALL = torch.tensor(-1)
MOST_MIRRORED_AXES = 3
"""torch reflects and replicates over no more at once."""


@operator("const")
def const(val: Value) -> Value:
    return val


@operator("identity")
def identity(x: Value) -> Value:
    return x


@operator("cast")
def cast(x: Tensor, dtype: str) -> Tensor:
    """Towards zero on the way to integers; anything but zero is true. The width comes from the declared output."""
    return x.to(HELD[dtype])


@operator("select")
def select(cond: Tensor, a: Tensor | None = None, b: Tensor | None = None) -> Tensor:
    """`a` where `cond` holds, else `b`; without both, the places where it holds."""
    return torch.nonzero(cond) if a is None or b is None else torch.where(cond.bool(), a, b)


@operator("fill")
def fill(shape: Tensor, value: Tensor = ZERO) -> Tensor:
    """A view of the one value; what goes on from it may be a copy."""
    return value.reshape(()).expand(affordable(integers(shape)))


@operator("fill_like")
def fill_like(ref_tensor: Tensor, value: Tensor = ZERO) -> Tensor:
    return value.reshape(()).expand(ref_tensor.shape)


@operator("range_1d")
def range_1d(start: Tensor, end: Tensor, step: Tensor) -> Tensor:
    """From `start` to `end`, which is not in it."""
    first, last, stride = start.item(), end.item(), step.item()
    (count,) = affordable([max(math.ceil((last - first) / stride), 0)])
    return first + stride * torch.arange(count, dtype=start.dtype)


@operator("one_hot")
def one_hot(
    indices: Tensor,
    one_hot_vector_size: Tensor,
    axis: Tensor = LAST,
    on_value: Tensor = ON,
    off_value: Tensor = OFF,
) -> Tensor:
    """A new axis, `on_value` where it is the index; an index outside is on nowhere."""
    size, along = integer(one_hot_vector_size), integer(axis) % (indices.dim() + 1)
    affordable((*indices.shape, size))
    places = torch.arange(size, device=indices.device)
    on = indices.unsqueeze(along) == places.reshape([-1 if each == along else 1 for each in range(indices.dim() + 1)])
    return torch.where(on, on_value, off_value)


@operator("tile")
def tile(x: Tensor, reps: Tensor) -> Tensor:
    counts = integers(reps)
    affordable(size * count for size, count in zip(x.shape, counts, strict=True))
    return x.repeat(counts)


@operator("pad")
def pad(x: Tensor, pad: Tensor, mode: str = "constant", constant_val: Tensor = ZERO) -> Tensor:
    """The last axes, begin and end of each in turn; `reflect` leaves the edge out, `replicate` repeats it."""
    given = integers(pad)
    pairs = list(zip(given[0::2], given[1::2], strict=True))
    whole = [(0, 0)] * (x.dim() - len(pairs)) + pairs
    affordable(begin + size + end for size, (begin, end) in zip(x.shape, whole, strict=True))
    if mode == "constant":
        return F.pad(x, [size for pair in reversed(pairs) for size in pair], value=number(constant_val))
    skipped = x.dim() - len(pairs)
    for axis in range(skipped, x.dim() - MOST_MIRRORED_AXES):
        x = _mirrored(x.movedim(axis, -1), pairs[axis - skipped : axis - skipped + 1], mode).movedim(-1, axis)
    return _mirrored(x, pairs[-MOST_MIRRORED_AXES:], mode)


def _mirrored(x: Tensor, pairs: list[tuple[int, int]], mode: str) -> Tensor:
    """The last axes padded; torch wants one or two others before them."""
    while pairs and pairs[0] == (0, 0):
        pairs = pairs[1:]
    if not pairs:
        return x
    flat = x.reshape((1, -1, *x.shape[x.dim() - len(pairs) :]))
    padded = F.pad(flat, [size for pair in reversed(pairs) for size in pair], mode=mode)
    return padded.reshape((*x.shape[: x.dim() - len(pairs)], *padded.shape[2:]))


@operator("band_part")
def band_part(x: Tensor, lower: Tensor = ALL, upper: Tensor = ALL) -> Tensor:
    """So many diagonals below and above the main one of the last two axes, all of them when negative; zeros elsewhere."""
    below, above = integer(lower), integer(upper)
    kept = x if above < 0 else x.tril(above)
    return kept if below < 0 else kept.triu(-below)


@operator("cumsum")
def cumsum(
    x: Tensor,
    axis: Tensor = FIRST,
    exclusive: Tensor | bool = False,
    reverse: Tensor | bool = False,
) -> Tensor:
    """Exclusive, each sum is without the element at its own place."""
    along = integer(axis)
    ordered = x.flip(along) if flag(reverse) else x
    sums = ordered.cumsum(along)
    if flag(exclusive):
        before = torch.zeros_like(sums.narrow(along, 0, 1))
        sums = torch.cat((before, sums.narrow(along, 0, x.shape[along] - 1)), along)
    return sums.flip(along) if flag(reverse) else sums
