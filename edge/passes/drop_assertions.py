"""Removes the checks that a capture carries along: they give no value, and LiteRT cannot lower `_assert_async`."""

from __future__ import annotations

import torch
from torch.fx import GraphModule

aten = torch.ops.aten

_CHECKS = {
    aten._assert_async.default, aten._assert_async.msg, aten._assert_scalar.default,
    aten._assert_tensor_metadata.default, aten.sym_constrain_range.default, aten.sym_constrain_range_for_size.default,
}  # fmt: skip


def drop_assertions(graph_module: GraphModule) -> GraphModule:
    """Erase every check; the shapes are static, and what fed a check alone is dead code afterwards."""
    for node in list(graph_module.graph.nodes):
        if node.target in _CHECKS:
            graph_module.graph.erase_node(node)
    return graph_module
