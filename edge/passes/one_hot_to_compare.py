"""Writes `one_hot` as a comparison with a constant range: its own lowering asserts at run time, which LiteRT refuses."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, replace_calls, value

aten = torch.ops.aten


def one_hot_to_compare(graph_module: GraphModule) -> GraphModule:
    """Replace every `one_hot`; an index outside the classes, an error before, now gives a row of zeros."""
    return replace_calls(graph_module, {aten.one_hot.default}, _compare)


def _compare(at: Site, indices: Node, _classes: int) -> Node:
    *places, classes = at.shape
    column = at.call(aten.reshape.default, indices, [*places, 1])
    equal = at.call(aten.eq.Tensor, column, at.constant(torch.arange(classes, dtype=value(indices).dtype)))
    return at.call(aten._to_copy.default, equal, dtype=value(at.node).dtype)
