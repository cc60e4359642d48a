"""Writes products of stacked matrices as `bmm`: `matmul` decomposes into expands that XNNPACK leaves outside."""

from __future__ import annotations

import math

import torch
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, replace_calls, value

aten = torch.ops.aten


def matmul_to_bmm(graph_module: GraphModule) -> GraphModule:
    """Replace each `matmul` of two equally large stacks of matrices; a product that broadcasts one stays."""
    return replace_calls(graph_module, {aten.matmul.default}, _product)


def _product(at: Site, left: Node, right: Node) -> Node | None:
    stack = at.shape[:-2]
    if not stack or any(value(factor).shape[:-2] != torch.Size(stack) for factor in (left, right)):
        return None
    flat = [
        at.call(aten.reshape.default, factor, [math.prod(stack), *value(factor).shape[-2:]]) for factor in (left, right)
    ]
    return at.call(aten.reshape.default, at.call(aten.bmm.default, *flat), at.shape)
