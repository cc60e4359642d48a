"""Writes `roll` as slices and a concatenation: XNNPACK has no `roll`, and its decomposition gathers by index."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, replace_calls, value

aten = torch.ops.aten


def roll_to_slice(graph_module: GraphModule) -> GraphModule:
    """Replace every `roll`, one dimension at a time."""
    return replace_calls(graph_module, {aten.roll.default}, _concatenate)


def _concatenate(at: Site, x: Node, shifts: list[int], dims: list[int]) -> Node:
    if not dims:  # torch then rolls the flattened tensor
        flat = at.call(aten.reshape.default, x, [-1])
        return at.call(aten.reshape.default, _rolled(at, flat, shifts[0], 0), at.shape)
    for shift, dim in zip(shifts, dims, strict=True):
        x = _rolled(at, x, shift, dim)
    return x


def _rolled(at: Site, x: Node, shift: int, dim: int) -> Node:
    length = value(x).shape[dim]
    cut = -shift % length if length else 0
    if cut == 0:
        return x
    back = at.call(aten.slice.Tensor, x, dim, cut, length)
    front = at.call(aten.slice.Tensor, x, dim, 0, cut)
    return at.call(aten.cat.default, [back, front], dim)
