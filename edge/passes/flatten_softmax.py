"""Gives every 4-D softmax three dimensions: ExecuTorch 1.4.1 computes one that follows a convolution over channels.

XNNPACK keeps a convolution's output channels-last. Softmax is missing from ExecuTorch's list of operators that need
the layout undone, so it normalises over whatever lies last in memory, silently. A reshape to rank 3 undoes the layout.
"""

from __future__ import annotations

import math

import torch
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, replace_calls

aten = torch.ops.aten


def flatten_softmax(graph_module: GraphModule) -> GraphModule:
    """Reshape (…, N, M) to (B, N, M) around each softmax of rank 4 and more that XNNPACK would take: over the last."""
    return replace_calls(graph_module, {aten.softmax.int}, _flat)


def _flat(at: Site, x: Node, dim: int, dtype: torch.dtype | None) -> Node | None:
    *batch, rows, columns = shape = at.shape
    if len(shape) < 4 or dim % len(shape) != len(shape) - 1:
        return None
    flat = at.call(aten.reshape.default, x, [math.prod(batch), rows, columns])
    return at.call(aten.reshape.default, at.call(aten.softmax.int, flat, -1, dtype), shape)
