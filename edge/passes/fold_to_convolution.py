"""Writes overlapping `fold` as a transposed convolution: no target lowers `col2im` where blocks overlap.

Channels go into the batch, because LiteRT knows no grouped transposed convolution, and the padding is cropped off
afterwards, because it knows none with padding either.
"""

from __future__ import annotations

import math

import torch
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, replace_calls, value
from edge.passes.unfold_to_convolution import one_hot_filters

aten = torch.ops.aten


def fold_to_convolution(graph_module: GraphModule) -> GraphModule:
    """Replace every `col2im`: the one-hot filters lay each block's numbers where they belong and add up overlaps."""
    return replace_calls(graph_module, {aten.col2im.default}, _lay)


def _lay(
    at: Site, x: Node, size: list[int], kernel: list[int], dilation: list[int], padding: list[int], stride: list[int]
) -> Node:
    blocks = [
        (length + 2 * pad - step * (taps - 1) - 1) // hop + 1
        for length, taps, step, pad, hop in zip(size, kernel, dilation, padding, stride, strict=True)
    ]
    planes = math.prod(at.shape[:-2])
    columns = at.call(aten.reshape.default, x, [planes, math.prod(kernel), *blocks])
    filters = at.constant(one_hot_filters(kernel, value(x).dtype))
    laid = at.call(aten.conv_transpose2d.input, columns, filters, None, stride, [0, 0], [0, 0], 1, dilation)
    for dim, length, pad in zip((2, 3), size, padding, strict=True):
        laid = _crop(at, laid, dim, pad, length)
    return at.call(aten.reshape.default, laid, at.shape)


def _crop(at: Site, x: Node, dim: int, start: int, length: int) -> Node:
    missing = start + length - value(x).shape[dim]  # pixels at the end that no block reaches
    if missing > 0:
        x = at.call(aten.pad.default, x, [0, missing] if dim == 3 else [0, 0, 0, missing])
    return at.call(aten.slice.Tensor, x, dim, start, start + length)
