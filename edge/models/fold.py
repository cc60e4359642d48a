"""Exact merges of neighbouring affine layers, computed in float64 and cast back; no argument is ever modified."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edge.errors import ConversionError

AffineLayer = TypeVar("AffineLayer", nn.Conv2d, nn.Linear)


def fold_conv_bn(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> nn.Conv2d:
    """`bn(conv(x))` as one convolution with a bias; exact for any padding, since the norm comes after it."""
    scale, shift = _scale_and_shift(bn)
    return _affine_after(conv, scale, shift)


def fold_linear_bn(linear: nn.Linear, bn: nn.BatchNorm1d) -> nn.Linear:
    """`bn(linear(x))` as one linear layer with a bias."""
    scale, shift = _scale_and_shift(bn)
    return _affine_after(linear, scale, shift)


def fold_bn_linear(bn: _BatchNorm, linear: nn.Linear) -> nn.Linear:
    """`linear(bn(x))` as one linear layer with a bias; a spatial mean between the two changes nothing."""
    scale, shift = _scale_and_shift(bn)
    return _affine_before(linear, scale, shift)


def fold_layer_norm_affine(norm: nn.LayerNorm, linear: nn.Linear) -> tuple[nn.LayerNorm, nn.Linear]:
    """`linear(norm(x))` as a norm without weight and bias, and a linear layer that carries them."""
    bare = nn.LayerNorm(norm.normalized_shape, norm.eps, elementwise_affine=False)
    scale = torch.ones_like(linear.weight[0]) if norm.weight is None else norm.weight
    shift = torch.zeros_like(scale) if norm.bias is None else norm.bias
    return bare.train(norm.training), _affine_before(linear, scale.detach().double(), shift.detach().double())


def merge_pointwise(conv: nn.Conv2d, pointwise: nn.Conv2d) -> nn.Conv2d:
    """`pointwise(conv(x))` as one convolution with a bias; exact for any padding of `conv`.

    Raises `ConversionError` unless `pointwise` is 1x1 and both take all channels.
    """
    if pointwise.kernel_size != (1, 1) or pointwise.stride != (1, 1) or (conv.groups, pointwise.groups) != (1, 1):
        raise ConversionError(
            f"{conv} and {pointwise} cannot be merged",
            hint="the second must be a 1x1 convolution without a stride, and neither may have groups",
        )
    rows = pointwise.weight.detach().double()[:, :, 0, 0]
    weight = torch.einsum("oi,ikhw->okhw", rows, conv.weight.detach().double())
    merged = _like(conv, weight, _bias_of(pointwise) + rows @ _bias_of(conv))
    merged.out_channels = pointwise.out_channels
    return merged


def scale_outputs(layer: AffineLayer, scale: Tensor) -> AffineLayer:
    """`layer(x) * scale` per output channel (`scale`: one value, or one per channel): a layer scale, or that of q."""
    scale = scale.detach().double().flatten().expand(layer.weight.shape[0])
    weight = layer.weight.detach().double() * _per_row(scale, layer.weight)
    bias = None if layer.bias is None else layer.bias.detach().double() * scale
    return _like(layer, weight, bias)


def average(a: nn.Linear, b: nn.Linear) -> nn.Linear:
    """`(a(x) + b(x)) / 2` as one linear layer: the two heads of a distilled network at inference."""
    weight = (a.weight.detach().double() + b.weight.detach().double()) / 2
    return _like(a, weight, (_bias_of(a) + _bias_of(b)) / 2)


def add_identity(conv: nn.Conv2d) -> nn.Conv2d:
    """`x + conv(x)` of a centred depthwise convolution, as one; with a stride s, `x[:, :, ::s, ::s] + conv(x)`.

    Raises `ConversionError` for a convolution that is not depthwise or whose centre tap does not sit on the input.
    """
    height, width = (int(side) for side in conv.kernel_size)
    depthwise = conv.groups == conv.in_channels == conv.out_channels
    if not depthwise or conv.padding != (height // 2, width // 2) or height % 2 == 0 or width % 2 == 0:
        raise ConversionError(
            f"a residual branch cannot be merged into {conv}",
            hint="only a centred depthwise convolution of odd kernel size has a tap for the identity",
        )
    weight = conv.weight.detach().double().clone()
    weight[:, 0, height // 2, width // 2] += 1
    return _like(conv, weight, None if conv.bias is None else conv.bias.detach().double())


def require_no_batchnorm(module: nn.Module) -> None:
    """Raise `ConversionError`, naming the submodule, if a batch norm was left behind."""
    left = [name for name, child in module.named_modules() if isinstance(child, _BatchNorm)]
    if left:
        raise ConversionError(
            f"{len(left)} batch norms were not folded, the first is {left[0] or type(module).__name__!r}",
            hint="the deploy form of a network must fold every batch norm into a neighbour",
        )


def _scale_and_shift(bn: _BatchNorm) -> tuple[Tensor, Tensor]:
    """The affine map y = scale * x + shift of a batch norm in inference, float64 of shape (C,)."""
    if bn.running_mean is None or bn.running_var is None:
        raise ConversionError(
            f"{bn} has no running statistics", hint="such a norm depends on its batch: it cannot fold"
        )
    mean, variance = bn.running_mean.double(), bn.running_var.double()
    scale = (variance + bn.eps).rsqrt()
    if not bn.affine:
        return scale, -mean * scale
    scale = scale * bn.weight.detach().double()
    return scale, bn.bias.detach().double() - mean * scale


def _affine_after(layer: AffineLayer, scale: Tensor, shift: Tensor) -> AffineLayer:
    weight = layer.weight.detach().double() * _per_row(scale, layer.weight)
    return _like(layer, weight, _bias_of(layer) * scale + shift)


def _affine_before(linear: nn.Linear, scale: Tensor, shift: Tensor) -> nn.Linear:
    weight = linear.weight.detach().double()
    return _like(linear, weight * scale, _bias_of(linear) + weight @ shift)


def _bias_of(layer: nn.Conv2d | nn.Linear) -> Tensor:
    if layer.bias is None:
        return torch.zeros(layer.weight.shape[0], dtype=torch.float64, device=layer.weight.device)
    return layer.bias.detach().double()


def _per_row(values: Tensor, weight: Tensor) -> Tensor:
    """`values` (C,) shaped to multiply the output channels of `weight` (C, ...)."""
    return values.reshape(-1, *(1,) * (weight.dim() - 1))


def _like(layer: AffineLayer, weight: Tensor, bias: Tensor | None) -> AffineLayer:
    """A layer of the same geometry, dtype, device and mode with other weights (float64)."""
    if isinstance(layer, nn.Conv2d):
        made = nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,  # type: ignore[arg-type]
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            layer.groups,
            padding_mode=layer.padding_mode,
            device="meta",
        )
    else:
        made = nn.Linear(layer.in_features, layer.out_features, device="meta")
    made.weight = _own(weight, layer.weight.dtype)
    made.bias = None if bias is None else _own(bias, layer.weight.dtype)  # type: ignore[assignment]
    return made.train(layer.training)


def _own(values: Tensor, dtype: torch.dtype) -> nn.Parameter:
    """A parameter that shares no memory and whose strides do not tell how it was computed."""
    return nn.Parameter(values.to(dtype).clone(memory_format=torch.contiguous_format))
