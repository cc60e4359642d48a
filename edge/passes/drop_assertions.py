"""Removes the checks that a capture carries along: they give no value, and LiteRT cannot lower `_assert_async`."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, replace_calls, value

aten = torch.ops.aten

_CHECKS = {
    aten._assert_async.default, aten._assert_async.msg, aten._assert_scalar.default,
    aten._assert_tensor_metadata.default, aten.sym_constrain_range.default, aten.sym_constrain_range_for_size.default,
}  # fmt: skip

_CONVERSIONS = {aten.to.dtype, aten.to.device, aten.to.dtype_layout, aten.to.other}


def drop_assertions(graph_module: GraphModule) -> GraphModule:
    """Erase every check; the shapes are static, and what fed a check alone is dead code afterwards."""
    for node in list(graph_module.graph.nodes):
        if node.target in _CHECKS:
            graph_module.graph.erase_node(node)
    return replace_calls(graph_module, _CONVERSIONS, _convert)


def _convert(at: Site, x: Node, *_how: object) -> Node | None:
    """The conversion under the name that a later capture does not accompany by a check."""
    dtype = value(at.node).dtype
    return None if value(x).dtype == dtype else at.call(aten._to_copy.default, x, dtype=dtype)
