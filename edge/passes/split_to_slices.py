"""Writes `split`, `chunk` and `unbind` as slices: XNNPACK delegates slices only, a split breaks the delegate there."""

from __future__ import annotations

from itertools import accumulate

import torch
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, replace_calls, value

aten = torch.ops.aten

_SPLITS = {
    aten.split.Tensor, aten.split.sizes, aten.split_with_sizes.default, aten.chunk.default, aten.tensor_split.sections,
    aten.tensor_split.indices,
}  # fmt: skip


def split_to_slices(graph_module: GraphModule) -> GraphModule:
    """Replace every operator that gives the pieces of a tensor; the pieces remain views of it."""
    replace_calls(graph_module, _SPLITS, _pieces)
    return replace_calls(graph_module, {aten.unbind.int}, _rows)


def _pieces(at: Site, x: Node, _how: object, dim: int) -> list[Node]:
    ends = list(accumulate(piece.shape[dim] for piece in value(at.node)))
    starts = [0, *ends[:-1]]
    return [at.call(aten.slice.Tensor, x, dim, start, end) for start, end in zip(starts, ends, strict=True)]


def _rows(at: Site, x: Node, dim: int) -> list[Node]:
    rows = [at.call(aten.slice.Tensor, x, dim, row, row + 1) for row in range(value(x).shape[dim])]
    return [at.call(aten.reshape.default, row, list(value(at.node)[0].shape)) for row in rows]
