"""Lists of tensors of one shape. A list is a value as any other: writing gives a new one."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.coreml.runtime.ops.sizes import affordable
from exporters.coreml.runtime.ops.table import Table, family, integer, integers
from exporters.coreml.runtime.ops.values import HELD

TABLE: Table = {}
operator = family(TABLE)
TensorList = list[Tensor]
ONE = torch.tensor(1)
LONGEST_LIST = 2**20
"""No network's list comes near; each turn of a loop writes one element."""


@operator("make_list")
def make_list(
    elem_shape: tuple[Tensor | str, ...] = (),
    init_length: Tensor = ONE,
    dynamic_length: Tensor | bool = True,  # noqa: ARG001 - every list here can grow
    dtype: str = "fp32",
) -> TensorList:
    """Zeros; an axis that only the run decides (a text) has size 1 until an element is written."""
    sizes = [1 if isinstance(size, str) else integer(size) for size in elem_shape]
    return _long([], integer(init_length), torch.zeros((), dtype=HELD[dtype]).expand(affordable(sizes)))


def _long(ls: TensorList, length: int, like: Tensor) -> TensorList:
    """A copy of at least `length` elements, those that are new being zero."""
    if length > LONGEST_LIST:
        raise ValueError(f"a list of {length} elements")
    return ls + [like.new_zeros(()).expand(like.shape)] * max(length - len(ls), 0)


@operator("list_length")
def list_length(ls: TensorList) -> Tensor:
    return torch.tensor(len(ls), dtype=torch.int32)


@operator("list_read")
def list_read(ls: TensorList, index: Tensor) -> Tensor:
    return ls[integer(index)]


@operator("list_write")
def list_write(ls: TensorList, index: Tensor, value: Tensor) -> TensorList:
    """The list grows to hold the index."""
    longer = _long(ls, integer(index) + 1, value)
    longer[integer(index)] = value
    return longer


@operator("list_gather")
def list_gather(ls: TensorList, indices: Tensor) -> Tensor:
    """(indices, ...) of the elements."""
    chosen = [ls[index] for index in integers(indices)]
    affordable((len(chosen), *chosen[0].shape))
    return torch.stack(chosen)


@operator("list_scatter")
def list_scatter(ls: TensorList, indices: Tensor, value: Tensor) -> TensorList:
    """Each slice of `value` along its first axis to its index; the list grows to hold them."""
    places = integers(indices)
    longer = _long(ls, max(places) + 1, value[0])
    for place, element in zip(places, value, strict=True):
        longer[place] = element
    return longer
