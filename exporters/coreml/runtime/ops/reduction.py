"""Reductions over some axes, all of them by default."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.coreml.runtime.ops.table import Table, family, flag, integers

TABLE: Table = {}
operator = family(TABLE)


def over(x: Tensor, axes: Tensor | None) -> list[int]:
    """The axes named, or all of them."""
    named = integers(axes) if axes is not None else []
    return named or list(range(x.dim()))


@operator("reduce_mean")
def reduce_mean(x: Tensor, axes: Tensor | None = None, keep_dims: Tensor | bool = False) -> Tensor:
    return torch.mean(x, over(x, axes), keepdim=flag(keep_dims))


@operator("reduce_sum")
def reduce_sum(x: Tensor, axes: Tensor | None = None, keep_dims: Tensor | bool = False) -> Tensor:
    return torch.sum(x, over(x, axes), keepdim=flag(keep_dims))
