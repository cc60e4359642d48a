"""Convolutions over one, two or three axes, channels first."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from exporters.coreml.runtime.ops.activation import per_channel
from exporters.coreml.runtime.ops.padding import border, pad_trailing
from exporters.coreml.runtime.ops.table import Table, family, integer, integers

TABLE: Table = {}
operator = family(TABLE)
TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


@operator("conv")
def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    dilations: Tensor | None = None,
    groups: Tensor = torch.tensor(1),
) -> Tensor:
    """x (B, Cin, ...), weight (Cout, Cin / groups, ...); `pad` counts only for the padding type `custom`."""
    axes = x.dim() - 2
    stride = integers(strides) if strides is not None else [1] * axes
    dilation = integers(dilations) if dilations is not None else [1] * axes
    window = [(size - 1) * step + 1 for size, step in zip(weight.shape[2:], dilation, strict=True)]
    begins, ends = border(x.shape[2:], window, stride, pad_type, pad)
    if begins != ends:
        x, begins = pad_trailing(x, begins, ends, 0.0), [0] * axes
    return CONVOLVE[axes](x, weight, bias, stride, begins, dilation, integer(groups))


@operator("conv_transpose")
def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    pad: Tensor | None = None,
    output_shape: Tensor | None = None,
    pad_type: str = "valid",
    strides: Tensor | None = None,
    dilations: Tensor | None = None,
    groups: Tensor = torch.tensor(1),
) -> Tensor:
    """x (B, Cin, ...), weight (Cin, Cout / groups, ...); padding is what is cut from the full result."""
    axes = x.dim() - 2
    stride = integers(strides) if strides is not None else [1] * axes
    dilation = integers(dilations) if dilations is not None else [1] * axes
    full = TRANSPOSE[axes](x, weight, None, stride, 0, 0, integer(groups), dilation)
    begins, ends = [0] * axes, [0] * axes
    if pad_type == "custom" and pad is not None:
        begins, ends = integers(pad)[0::2], integers(pad)[1::2]
    sizes = [size - begin - end for size, begin, end in zip(full.shape[2:], begins, ends, strict=True)]
    if pad_type == "same":
        sizes = [size * step for size, step in zip(x.shape[2:], stride, strict=True)]
    if output_shape is not None:
        sizes = integers(output_shape)[-axes:]
    if pad_type == "same":
        begins = [max(size - wanted, 0) // 2 for size, wanted in zip(full.shape[2:], sizes, strict=True)]
    ends = [size - begin - wanted for size, begin, wanted in zip(full.shape[2:], begins, sizes, strict=True)]
    cut = pad_trailing(full, [-begin for begin in begins], [-end for end in ends], 0.0)
    return cut if bias is None else cut + per_channel(bias, x)
