"""Matrix products."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from exporters.coreml.runtime.ops.table import Table, family, flag

TABLE: Table = {}
operator = family(TABLE)


@operator("linear")
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (..., Cin), weight (Cout, Cin)."""
    return F.linear(x, weight, bias)


@operator("matmul")
def matmul(x: Tensor, y: Tensor, transpose_x: Tensor | bool = False, transpose_y: Tensor | bool = False) -> Tensor:
    left = x.transpose(-1, -2) if flag(transpose_x) else x
    right = y.transpose(-1, -2) if flag(transpose_y) else y
    return torch.matmul(left, right)
