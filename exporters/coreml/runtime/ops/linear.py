"""Matrix products."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from exporters.coreml.runtime.datatypes import DataType
from exporters.coreml.runtime.ops.table import Table, family, flag

TABLE: Table = {}
operator = family(TABLE)


@operator("linear")
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (..., Cin), weight (Cout, Cin); weights may be integers where x is real, and the other way round."""
    return F.linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))


@operator("matmul")
def matmul(
    x: Tensor,
    y: Tensor,
    transpose_x: Tensor | bool = False,
    transpose_y: Tensor | bool = False,
    declared: DataType | None = None,
) -> Tensor:
    """A vector has nothing to transpose. Of integers and reals, the constant ones are converted: the result is of the others."""
    if declared is not None and x.dtype is not y.dtype:
        x, y = x.to(declared.held), y.to(declared.held)
    left = x.transpose(-1, -2) if flag(transpose_x) and x.dim() > 1 else x
    right = y.transpose(-1, -2) if flag(transpose_y) and y.dim() > 1 else y
    return torch.matmul(left, right)


@operator("einsum")
def einsum(values: tuple[Tensor, ...], equation: str) -> Tensor:
    """An axis of size 1 broadcasts."""
    return torch.einsum(equation, *values)
