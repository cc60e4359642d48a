"""Order: the largest, the positions of a sorted axis, and the positions that are not zero; of equals the first is first."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.coreml.runtime.ops.table import Table, family, flag, integer

TABLE: Table = {}
operator = family(TABLE)
LAST = torch.tensor(-1)
ONE = torch.tensor(1)


@operator("argsort")
def argsort(x: Tensor, axis: Tensor = LAST, ascending: Tensor | bool = False) -> Tensor:
    return x.argsort(dim=integer(axis), descending=not flag(ascending), stable=True)


@operator("topk")
def topk(
    x: Tensor,
    k: Tensor = ONE,
    axis: Tensor = LAST,
    ascending: Tensor | bool = False,
    sort: Tensor | bool = True,  # noqa: ARG001 - sorted is one of the orders allowed
    return_indices: Tensor | bool = True,
    output_indices_dtype: str = "int32",  # noqa: ARG001 - the declared output says it too
) -> Tensor | tuple[Tensor, Tensor]:
    """The `k` largest (ascending: smallest) and where they stand, all for a `k` of -1; in order even where none is asked."""
    along, count = integer(axis), integer(k)
    values, places = x.sort(dim=along, descending=not flag(ascending), stable=True)
    if count != -1:
        values, places = values.narrow(along, 0, count), places.narrow(along, 0, count)
    return (values, places) if flag(return_indices) else values


@operator("non_zero")
def non_zero(x: Tensor) -> Tensor:
    return x.nonzero()
