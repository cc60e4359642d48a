"""Writes a mean over pixels or tokens as pooling of planes: the one form of `mean` that XNNPACK delegates."""

from __future__ import annotations

import math

import torch
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, replace_calls, value

aten = torch.ops.aten


def mean_to_pool(graph_module: GraphModule) -> GraphModule:
    """Replace each `mean` over some dimensions, but not the first, by one over the planes of a (B, C, H, W) tensor."""
    return replace_calls(graph_module, {aten.mean.dim}, _pool)


def _pool(at: Site, x: Node, over: list[int] | None, keep: bool, dtype: torch.dtype | None) -> Node | None:
    shape = list(value(x).shape)
    reduced = sorted(dim % len(shape) for dim in over or [])
    if not reduced or 0 in reduced or dtype is not None:
        return None
    if len(shape) == 4 and reduced == [2, 3]:
        return None if keep else at.call(aten.reshape.default, _mean(at, x), at.shape)
    kept = [dim for dim in range(len(shape)) if dim not in reduced]
    last = x if [*kept, *reduced] == sorted(kept + reduced) else at.call(aten.permute.default, x, [*kept, *reduced])
    channels, pixels = (math.prod(shape[dim] for dim in dims) for dims in (kept[1:], reduced))
    planes = at.call(aten.reshape.default, last, [shape[0], channels, pixels, 1])
    return at.call(aten.reshape.default, _mean(at, planes), at.shape)


def _mean(at: Site, planes: Node) -> Node:
    return at.call(aten.mean.dim, planes, [2, 3], True)
