"""Writes `conv3d` as `conv2d`: ExecuTorch's kernel refuses five dimensions at run time, LiteRT has no grouped one."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, replace_calls, value

aten = torch.ops.aten


def volume_to_planes(graph_module: GraphModule) -> GraphModule:
    """Replace every `conv3d` with numbers for padding: a kernel's frames become channels, the frames out the batch."""
    return replace_calls(graph_module, {aten.conv3d.default}, _planes)


def _planes(
    at: Site, x: Node, weight: Node, bias: Node | None,
    stride: list[int], padding: list[int], dilation: list[int], groups: int,
) -> Node | None:  # fmt: skip
    if value(x).dim() != 5:
        return None
    batch, channels, _, height, width = value(x).shape
    filters, depth, frames_per_kernel, *kernel = value(weight).shape
    frames, *size = at.shape[2:]

    # Rank 5 is the most that Core ML takes, so a plane is one dimension while kernel frames are gathered beside time.
    flat = at.call(aten.reshape.default, x, [batch, channels, -1, height * width])
    flat = at.call(aten.pad.default, flat, [0, 0, padding[0], padding[0]]) if padding[0] else flat
    reach = (frames - 1) * stride[0] + 1
    views = [
        at.call(aten.slice.Tensor, flat, 2, start, start + reach, stride[0])
        for start in range(0, frames_per_kernel * dilation[0], dilation[0])
    ]
    rows = [at.call(aten.reshape.default, view, [batch, channels, 1, frames, height * width]) for view in views]
    beside = at.call(aten.permute.default, at.call(aten.cat.default, rows, 2), [0, 3, 1, 2, 4])
    planes = at.call(aten.reshape.default, beside, [batch * frames, channels * frames_per_kernel, height, width])

    flat_weight = _reshaped(at, weight, [filters, depth * frames_per_kernel, *kernel])
    convolved = at.call(aten.conv2d.default, planes, flat_weight, bias, stride[1:], padding[1:], dilation[1:], groups)

    apart = at.call(aten.reshape.default, convolved, [batch, frames, filters, size[0] * size[1]])
    apart = at.call(aten.permute.default, apart, [0, 2, 1, 3])
    return at.call(aten.reshape.default, apart, [batch, filters, frames, *size])


def _reshaped(at: Site, weight: Node, shape: list[int]) -> Node:
    fixed = at.weight(weight)
    return at.call(aten.reshape.default, weight, shape) if fixed is None else at.constant(fixed.reshape(shape))
