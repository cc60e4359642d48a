"""Writes bicubic resizing as two linear layers: coremltools has no bicubic, the other targets lower it to gathers.

Resizing is linear in the picture and separable, so resizing an identity gives the matrix of each axis. As products
with a constant on the left, the same matrices crash ExecuTorch 1.4.1; as linear layers they run.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, replace_calls, value

aten = torch.ops.aten

Scales = Sequence[float | None]


def bicubic_to_linear(graph_module: GraphModule) -> GraphModule:
    """Replace every bicubic resize, with aligned corners or without, by one linear layer per axis."""
    replace_calls(graph_module, {aten.upsample_bicubic2d.vec}, _by_factors)
    return replace_calls(graph_module, {aten.upsample_bicubic2d.default}, _by_scales)


def _by_factors(at: Site, x: Node, _size: object, align_corners: bool, factors: list[float] | None) -> Node:
    return _two_linears(at, x, align_corners, factors or (None, None))


def _by_scales(at: Site, x: Node, _size: object, align_corners: bool, *scales: float | None) -> Node:
    return _two_linears(at, x, align_corners, scales)


def _two_linears(at: Site, x: Node, align_corners: bool, scales: Scales) -> Node:
    for axis, scale in zip((-1, -2), reversed(scales), strict=True):  # along the rows, then along the columns
        matrix = _interpolation(value(x).shape[-1], at.shape[axis], align_corners, scale)
        x = at.call(aten.linear.default, x, at.constant(matrix.to(value(x).dtype)))
        x = at.call(aten.transpose.int, x, -1, -2)
    return x


def _interpolation(before: int, after: int, align_corners: bool, scale: float | None) -> Tensor:
    """The (after, before) matrix that resizes a line of `before` pixels; in float64, so that it is rounded once."""
    picture_per_pixel = torch.eye(before, dtype=torch.float64).reshape(before, 1, 1, before)
    lines = aten.upsample_bicubic2d.default(picture_per_pixel, [1, after], align_corners, None, scale)
    return lines.reshape(before, after).T.contiguous()
