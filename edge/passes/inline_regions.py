"""Inlines regions that only switch autocast or gradients off: no pass and no target would look into them."""

from __future__ import annotations

import operator

import torch
from torch.fx import GraphModule, Node

from edge.passes._graph import put

_AUTOCAST = torch.ops.higher_order.wrap_with_autocast
_GRADIENTS = torch.ops.higher_order.wrap_with_set_grad_enabled


def inline_regions(graph_module: GraphModule) -> GraphModule:
    """Replace each region by its own calls. One that switches autocast on computes in another type, so it stays."""
    for node in list(graph_module.graph.nodes):
        if node.target is _GRADIENTS:
            _inline(graph_module, node, *node.args[1:])
        elif node.target is _AUTOCAST and node.args[2] is False:
            _inline(graph_module, node, *node.args[4:])
    return graph_module


def _inline(graph_module: GraphModule, node: Node, region: Node, *inputs: Node) -> None:
    inner = operator.attrgetter(str(region.target))(graph_module)
    outer_of = dict(zip(inner.graph.find_nodes(op="placeholder"), inputs, strict=True))
    with graph_module.graph.inserting_before(node):
        outputs = graph_module.graph.graph_copy(inner.graph, outer_of)
    put(node, list(outputs))  # type: ignore[arg-type]
