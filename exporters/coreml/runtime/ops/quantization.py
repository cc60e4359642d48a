"""Between real numbers and the 8-bit integers that stand for them."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.coreml.runtime.ops.table import Table, family, integer

TABLE: Table = {}
operator = family(TABLE)
TYPES = {"int8": torch.int8, "uint8": torch.uint8}


@operator("quantize")
def quantize(
    input: Tensor,
    scale: Tensor,
    output_dtype: str,
    zero_point: Tensor | None = None,
    axis: Tensor | None = None,
) -> Tensor:
    """round(input / scale) + zero_point, halves to even, kept inside the range of `output_dtype`."""
    given = TYPES[output_dtype]
    limits = torch.iinfo(given)
    steps = torch.round(input / _along(scale, input, axis))
    if zero_point is not None:
        steps = steps + _along(zero_point, input, axis).float()
    return steps.clamp(limits.min, limits.max).to(given)


@operator("dequantize")
def dequantize(
    input: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    axis: Tensor | None = None,
) -> Tensor:
    """scale × (input - zero_point)."""
    steps = input.float()
    if zero_point is not None:
        steps = steps - _along(zero_point, input, axis).float()
    return steps * _along(scale, input, axis)


def _along(values: Tensor, x: Tensor, axis: Tensor | None) -> Tensor:
    """One value for everything, or a vector of one for each cell of `axis`."""
    if values.dim() == 0 or axis is None:
        return values
    shape = [1] * x.dim()
    shape[integer(axis)] = -1
    return values.reshape(shape)
