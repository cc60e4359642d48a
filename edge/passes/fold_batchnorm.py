"""Folds batch normalisation into the convolution or linear layer before it: one operator fewer, on every target."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, arguments, replace_calls, value

aten = torch.ops.aten

_LAYERS = {
    aten.conv1d.default, aten.conv2d.default, aten.conv3d.default, aten.conv1d.padding, aten.conv2d.padding,
    aten.conv3d.padding, aten.linear.default,
}  # fmt: skip
"""Take (input, weight, bias, …), the output channels first in the weight."""


def fold_batchnorm(graph_module: GraphModule) -> GraphModule:
    """Fold each normalisation whose layer nothing else reads; any other stays. Computed in float64, rounded once."""
    return replace_calls(graph_module, {aten.batch_norm.default}, _fold)


def _fold(
    at: Site, x: Node, gamma: Node | None, beta: Node | None, mean: Node, variance: Node,
    training: bool, _momentum: float, eps: float, _cudnn: bool,
) -> Node | None:  # fmt: skip
    if training or x.target not in _LAYERS or len(x.users) > 1:
        return None
    if x.target == aten.linear.default and value(x).dim() != 2:  # there the channels of the two are different axes
        return None
    inner, weight, bias, *options = arguments(x)
    channels = value(weight).shape[0]
    zeros, ones = torch.zeros(channels, dtype=torch.float64), torch.ones(channels, dtype=torch.float64)
    known = [
        _in_float64(at, *pair)
        for pair in ((weight, zeros), (bias, zeros), (gamma, ones), (beta, zeros), (mean, zeros), (variance, ones))
    ]
    if any(tensor is None for tensor in known):
        return None
    kernel, offset, scale, shift, average, spread = (tensor for tensor in known if tensor is not None)
    scale = scale / (spread + eps).sqrt()
    folded = kernel * scale.reshape(-1, *[1] * (kernel.dim() - 1)), (offset - average) * scale + shift
    constants = [at.constant(tensor.to(value(weight).dtype)) for tensor in folded]
    return at.call(x.target, inner, *constants, *options)


def _in_float64(at: Site, node: Node | None, absent: Tensor) -> Tensor | None:
    if node is None:
        return absent
    tensor = at.weight(node)
    return None if tensor is None else tensor.double()
