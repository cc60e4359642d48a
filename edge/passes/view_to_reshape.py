"""Writes `view` as `reshape`: a view fails once an earlier rewrite lays the same numbers out differently in memory."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, replace_calls

aten = torch.ops.aten


def view_to_reshape(graph_module: GraphModule) -> GraphModule:
    """Replace every `view`; where a view was possible, a reshape is that view."""
    return replace_calls(graph_module, {aten.view.default, aten._unsafe_view.default}, _reshape)


def _reshape(at: Site, x: Node, _shape: list[int]) -> Node:
    return at.call(aten.reshape.default, x, at.shape)
