"""Normalizations; variances are biased and epsilon stands inside the root."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.coreml.runtime.ops.table import Table, family, integers

TABLE: Table = {}
operator = family(TABLE)
EPSILON = torch.tensor(1e-5)


@operator("batch_norm")
def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: Tensor = EPSILON,
) -> Tensor:
    """x (B, C, ...), everything else (C,)."""
    per_channel = (-1, *[1] * (x.dim() - 2))
    scale = torch.rsqrt(variance + epsilon) * (1.0 if gamma is None else gamma)
    shift = (0.0 if beta is None else beta) - mean * scale
    return x * scale.reshape(per_channel) + shift.reshape(per_channel)


@operator("layer_norm")
def layer_norm(
    x: Tensor,
    axes: Tensor | None = None,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: Tensor = EPSILON,
) -> Tensor:
    """Over `axes` (all by default), which need not be the last; gamma and beta have the shape of those axes."""
    over = sorted(axis % x.dim() for axis in integers(axes)) if axes is not None else list(range(x.dim()))
    shape = [size if axis in over else 1 for axis, size in enumerate(x.shape)]
    variance, mean = torch.var_mean(x, over, correction=0, keepdim=True)
    normal = (x - mean) * torch.rsqrt(variance + epsilon)
    scaled = normal if gamma is None else normal * gamma.reshape(shape)
    return scaled if beta is None else scaled + beta.reshape(shape)
