"""Makes one reshape of several in a row: the rewrites before leave them, and each may be a copy in a runtime."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, replace_calls, value
from edge.passes._memory import owner, written_memory

aten = torch.ops.aten


def merge_reshapes(graph_module: GraphModule) -> GraphModule:
    """Read each reshape's numbers where the first of its row finds them, or keep the tensor that it ends up being."""
    written = written_memory(graph_module)

    def merge(at: Site, x: Node, _shape: list[int]) -> Node | None:
        if x.target is not aten.reshape.default or owner(x) in written:
            return None
        source = x.all_input_nodes[0]
        if value(source).shape == torch.Size(at.shape):
            return source
        return at.call(aten.reshape.default, source, at.shape)

    return replace_calls(graph_module, {aten.reshape.default}, merge)
