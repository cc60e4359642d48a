"""Writes out the stride of a max pooling that has none of its own: ExecuTorch 1.4.1 stumbles over the default."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, replace_calls

aten = torch.ops.aten


def explicit_pool_stride(graph_module: GraphModule) -> GraphModule:
    """Give each `max_pool2d` without a stride its kernel's size as stride, which is what the default means."""
    return replace_calls(graph_module, {aten.max_pool2d.default}, _with_stride)


def _with_stride(at: Site, x: Node, kernel: list[int], stride: list[int], *rest: Any) -> Node | None:
    return None if stride else at.call(aten.max_pool2d.default, x, kernel, kernel, *rest)
