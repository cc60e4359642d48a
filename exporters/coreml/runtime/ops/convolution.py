"""Convolutions over one, two or three axes, channels first."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from exporters.coreml.runtime.ops.padding import border, pad_trailing
from exporters.coreml.runtime.ops.table import Table, family, integer, integers

TABLE: Table = {}
operator = family(TABLE)
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
