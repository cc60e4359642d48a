"""Writes `squeeze` and `unsqueeze` as reshapes: XNNPACK delegates those, but splits the graph at the former."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, replace_calls

aten = torch.ops.aten

_DIMENSIONS_OF_ONE = {aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims, aten.unsqueeze.default}


def squeeze_to_view(graph_module: GraphModule) -> GraphModule:
    """Replace every change of dimensions of size one by a reshape, which is a view of the same memory."""
    return replace_calls(graph_module, _DIMENSIONS_OF_ONE, _reshape)


def _reshape(at: Site, x: Node, *_dims: object) -> Node:
    return at.call(aten.reshape.default, x, at.shape)
