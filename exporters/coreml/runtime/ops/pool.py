"""Pools over the trailing one, two or three axes."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from exporters.coreml.runtime.ops.padding import border, pad_trailing
from exporters.coreml.runtime.ops.table import Table, family, flag, integers

TABLE: Table = {}
operator = family(TABLE)
AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
MAXIMUM = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


def _ends(
    x: Tensor, kernel: list[int], stride: list[int], pad_type: str, pad: Tensor | None, ceil_mode: bool
) -> tuple[list[int], list[int]]:
    """The border, its end grown so that a window which begins inside the picture or its border is whole (`ceil_mode`)."""
    begins, ends = border(x.shape[2:], kernel, stride, pad_type, pad)
    if ceil_mode:
        for axis, size in enumerate(x.shape[2:]):
            span = size + begins[axis] + ends[axis] - kernel[axis]
            count = -(-span // stride[axis])
            if count * stride[axis] >= size + begins[axis]:  # torch and Core ML drop a window that begins in the border
                count -= 1
            ends[axis] += max(count * stride[axis] - span, 0)
    return begins, ends


@operator("avg_pool")
def avg_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    exclude_padding_from_average: Tensor | bool = False,
    ceil_mode: Tensor | bool = False,
) -> Tensor:
    """x (B, C, ...). Cells that only `ceil_mode` adds never count in the average."""
    kernel = integers(kernel_sizes)
    stride = integers(strides) if strides is not None else [1] * len(kernel)
    begins, ends = border(x.shape[2:], kernel, stride, pad_type, pad)
    _, grown = _ends(x, kernel, stride, pad_type, pad, flag(ceil_mode))
    pool = AVERAGE[len(kernel)]
    if begins == ends == grown == [0] * len(kernel):
        return pool(x, kernel, stride)
    total = pool(pad_trailing(x, begins, grown, 0.0), kernel, stride)
    ones = torch.ones((1, 1, *x.shape[2:]), device=x.device)
    counted = 0.0 if flag(exclude_padding_from_average) else 1.0
    ones = pad_trailing(ones, begins, ends, counted)
    share = pool(
        pad_trailing(ones, [0] * len(kernel), [g - e for g, e in zip(grown, ends, strict=True)], 0.0), kernel, stride
    )
    return total / share


@operator("max_pool")
def max_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    ceil_mode: Tensor | bool = False,
) -> Tensor:
    kernel = integers(kernel_sizes)
    stride = integers(strides) if strides is not None else [1] * len(kernel)
    begins, ends = _ends(x, kernel, stride, pad_type, pad, flag(ceil_mode))
    return MAXIMUM[len(kernel)](pad_trailing(x, begins, ends, float("-inf")), kernel, stride)


@operator("l2_pool")
def l2_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    ceil_mode: Tensor | bool = False,
) -> Tensor:
    """The root of the sum of squares under the window."""
    kernel = integers(kernel_sizes)
    stride = integers(strides) if strides is not None else [1] * len(kernel)
    begins, ends = _ends(x, kernel, stride, pad_type, pad, flag(ceil_mode))
    means = AVERAGE[len(kernel)](pad_trailing(torch.square(x), begins, ends, 0.0), kernel, stride)
    return torch.sqrt(means * math.prod(kernel))
