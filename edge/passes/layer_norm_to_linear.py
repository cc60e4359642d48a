"""Writes layer normalisation with linear layers as the mean: XNNPACK has no layer norm, each one splits the delegate."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, replace_calls, value

aten = torch.ops.aten


def layer_norm_to_linear(graph_module: GraphModule) -> GraphModule:
    """Replace every `layer_norm` over the last dimension alone; the others stay."""
    return replace_calls(graph_module, {aten.layer_norm.default}, _normalise)


def _normalise(
    at: Site, x: Node, over: list[int], weight: Node | None, bias: Node | None, eps: float, _cudnn: bool
) -> Node | None:
    if len(over) != 1:
        return None
    mean = at.constant(torch.full((1, over[0]), 1 / over[0], dtype=value(x).dtype))
    centred = at.call(aten.sub.Tensor, x, at.call(aten.linear.default, x, mean))
    variance = at.call(aten.linear.default, at.call(aten.mul.Tensor, centred, centred), mean)
    spread = at.call(aten.rsqrt.default, at.call(aten.add.Tensor, variance, eps))
    normal = at.call(aten.mul.Tensor, centred, spread)
    scaled = normal if weight is None else at.call(aten.mul.Tensor, normal, weight)
    return scaled if bias is None else at.call(aten.add.Tensor, scaled, bias)
