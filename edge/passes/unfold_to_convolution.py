"""Writes `unfold` as a depthwise convolution that picks: ExecuTorch would gather by computed indices, three times slower."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, replace_calls, value

aten = torch.ops.aten


def unfold_to_convolution(graph_module: GraphModule) -> GraphModule:
    """Replace every `im2col`. Each filter has a single one, so the numbers pass through unchanged."""
    return replace_calls(graph_module, {aten.im2col.default}, _pick)


def _pick(at: Site, x: Node, kernel: list[int], dilation: list[int], padding: list[int], stride: list[int]) -> Node:
    channels = value(x).shape[-3]
    filters = at.constant(one_hot_filters(kernel, value(x).dtype).repeat(channels, 1, 1, 1))
    picked = at.call(aten.conv2d.default, x, filters, None, stride, padding, dilation, channels)
    return at.call(aten.reshape.default, picked, at.shape)


def one_hot_filters(kernel: list[int], dtype: torch.dtype) -> Tensor:
    """One filter per tap of a `kernel` (height, width), its only one at that tap: shape (taps, 1, height, width)."""
    taps = math.prod(kernel)
    return torch.eye(taps, dtype=dtype).reshape(taps, 1, *kernel)
