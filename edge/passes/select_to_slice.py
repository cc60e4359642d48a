"""Writes `x[:, i]` as a slice and a reshape: XNNPACK delegates both, but runs `select` outside and splits the graph."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, replace_calls, value

aten = torch.ops.aten


def select_to_slice(graph_module: GraphModule) -> GraphModule:
    """Replace every `select`. Both forms are views of the same memory, so later writes in place stay what they were."""
    return replace_calls(graph_module, {aten.select.int}, _slice)


def _slice(at: Site, x: Node, dim: int, index: int) -> Node:
    start = index % value(x).shape[dim]  # -1 must not become the empty slice -1:0
    return at.call(aten.reshape.default, at.call(aten.slice.Tensor, x, dim, start, start + 1), at.shape)
