"""Reading and writing at positions that are themselves values.

A scatter writes where the gather of the same name would read: it gathers from a tensor of positions to learn where.
"""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.coreml.runtime.ops.table import Table, family, flag, integer

TABLE: Table = {}
operator = family(TABLE)
FIRST = torch.tensor(0)
REDUCTIONS = {"add": "sum", "sub": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def _inside(indices: Tensor, size: int | Tensor, validate: Tensor | bool) -> Tensor:
    """Positions from the first; a negative index counts from the end, unless the program asks for a check."""
    places = indices.long()
    if flag(validate) and not places.is_meta and bool(((places < 0) | (places >= size)).any()):
        raise ValueError("an index lies outside, and the program asks for the check")
    return torch.where(places < 0, places + size, places)


@operator("gather")
def gather(
    x: Tensor,
    indices: Tensor,
    axis: Tensor = FIRST,
    batch_dims: Tensor = FIRST,
    validate_indices: Tensor | bool = False,
) -> Tensor:
    """Slices of `x` along `axis`; the first `batch_dims` axes of `x` and `indices` go together."""
    along, shared = integer(axis) % x.dim(), integer(batch_dims)
    places = _inside(indices.to(x.device), x.shape[along], validate_indices)
    shape = (*x.shape[:along], *places.shape[shared:], *x.shape[along + 1 :])
    if not shared:
        return x.index_select(along, places.reshape(-1)).reshape(shape)
    rows = x.reshape(x.shape[:shared].numel(), x.shape[shared:along].numel(), x.shape[along], -1)
    picks = places.reshape(len(rows), -1)
    found = rows[torch.arange(len(rows), device=x.device)[:, None], :, picks]
    return found.transpose(1, 2).reshape(shape)


@operator("gather_along_axis")
def gather_along_axis(
    x: Tensor, indices: Tensor, axis: Tensor = FIRST, validate_indices: Tensor | bool = False
) -> Tensor:
    """One element for each index, taken along `axis`."""
    along = integer(axis)
    return x.gather(along, _inside(indices.to(x.device), x.shape[along], validate_indices))


@operator("gather_nd")
def gather_nd(
    x: Tensor, indices: Tensor, batch_dims: Tensor = FIRST, validate_indices: Tensor | bool = False
) -> Tensor:
    """Slices of `x` at the positions that the last axis of `indices` holds, after `batch_dims` axes that go together."""
    shared, depth = integer(batch_dims), indices.shape[-1]
    sizes = torch.tensor(x.shape[shared : shared + depth], device=x.device)
    picks = _inside(indices.to(x.device), sizes, validate_indices).unbind(-1)
    rank = indices.dim() - 1
    rows = tuple(
        torch.arange(x.shape[axis], device=x.device).reshape([-1 if each == axis else 1 for each in range(rank)])
        for axis in range(shared)
    )
    return x[rows + picks]


@operator("scatter")
def scatter(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    axis: Tensor = FIRST,
    mode: str = "add",
    validate_indices: Tensor | bool = False,
) -> Tensor:
    places = gather(_positions(data), indices, axis, validate_indices=validate_indices)
    return _scattered(data, places, updates, mode)


@operator("scatter_along_axis")
def scatter_along_axis(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    axis: Tensor = FIRST,
    mode: str = "add",
    validate_indices: Tensor | bool = False,
) -> Tensor:
    return _scattered(data, gather_along_axis(_positions(data), indices, axis, validate_indices), updates, mode)


@operator("scatter_nd")
def scatter_nd(
    data: Tensor, indices: Tensor, updates: Tensor, mode: str = "add", validate_indices: Tensor | bool = False
) -> Tensor:
    places = gather_nd(_positions(data), indices, validate_indices=validate_indices)
    return _scattered(data, places, updates, mode)


def _positions(data: Tensor) -> Tensor:
    return torch.arange(data.numel(), device=data.device).reshape(data.shape)


def _scattered(data: Tensor, places: Tensor, updates: Tensor, mode: str) -> Tensor:
    """`updates` brought into `data`; of several for one place all count, or the last where the mode is `update`."""
    at, given = places.reshape(-1), updates.expand(places.shape).reshape(-1)
    flat = data.reshape(-1)
    if mode == "update":
        return flat.scatter(0, at, given).reshape(data.shape)
    if mode == "div":
        divisors = torch.ones_like(flat).scatter_reduce(0, at, given, "prod")
        quotient = flat / divisors if data.is_floating_point() else torch.div(flat, divisors, rounding_mode="floor")
        return quotient.reshape(data.shape)
    signed = -given if mode == "sub" else given
    return flat.scatter_reduce(0, at, signed, REDUCTIONS[mode]).reshape(data.shape)
