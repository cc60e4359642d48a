"""Constants, conversions, look-ups and the classifier's answer."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.coreml.runtime.datatypes import DATA_TYPES
from exporters.coreml.runtime.ops.table import Table, Value, family, flag, integer

TABLE: Table = {}
operator = family(TABLE)
HELD = {data_type.name: data_type.held for data_type in DATA_TYPES.values()}


@operator("const")
def const(val: Value) -> Value:
    return val


@operator("cast")
def cast(x: Tensor, dtype: str) -> Tensor:
    """Towards zero on the way to integers; anything but zero is true. The width comes from the declared output."""
    return x.to(HELD[dtype])


@operator("classify")
def classify(probabilities: Tensor, classes: tuple[str, ...] | Tensor) -> tuple[Value, dict[Value, float]]:
    """The label of the largest probability, and every label with its own; of equals, the first."""
    names = classes.tolist() if isinstance(classes, Tensor) else classes
    scores = probabilities.reshape(-1).tolist()
    pairs = dict(zip(names, scores, strict=True))
    return max(pairs, key=pairs.__getitem__), pairs


@operator("gather")
def gather(
    x: Tensor,
    indices: Tensor,
    axis: Tensor = torch.tensor(0),
    batch_dims: Tensor = torch.tensor(0),
    validate_indices: Tensor | bool = False,
) -> Tensor:
    """Slices of `x` along `axis` at `indices`; a negative index counts from the end."""
    along = integer(axis) % x.dim()
    shared = integer(batch_dims)
    if flag(validate_indices) and bool((indices < 0).any()):
        raise ValueError("a negative index")
    places = torch.where(indices < 0, indices + x.shape[along], indices).long()
    if shared == 0:
        return x.index_select(along, places.reshape(-1)).reshape((*x.shape[:along], *places.shape, *x.shape[along + 1 :]))
    flat_x = x.reshape((-1, *x.shape[shared:]))
    flat_places = places.reshape((-1, *places.shape[shared:]))
    rows = [
        row.index_select(along - shared, place.reshape(-1)).reshape(
            (*row.shape[: along - shared], *place.shape, *row.shape[along - shared + 1 :])
        )
        for row, place in zip(flat_x, flat_places, strict=True)
    ]
    return torch.stack(rows).reshape((*x.shape[:shared], *rows[0].shape))
