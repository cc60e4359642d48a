"""Normalizations; variances are biased and epsilon stands inside the root."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from exporters.coreml.runtime.ops.activation import per_channel
from exporters.coreml.runtime.ops.table import Table, family, integer, integers, number

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
    return F.batch_norm(x, mean, variance, gamma, beta, eps=number(epsilon))


@operator("instance_norm")
def instance_norm(
    x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: Tensor = EPSILON
) -> Tensor:
    """x (B, C, ...), each picture and channel alone. The mean goes first: torch's form of it loses digits on flat pictures."""
    variance, mean = torch.var_mean(x, list(range(2, x.dim())), correction=0, keepdim=True)
    normal = (x - mean) * torch.rsqrt(variance + epsilon)
    scaled = normal if gamma is None else normal * per_channel(gamma, x)
    return scaled if beta is None else scaled + per_channel(beta, x)


@operator("layer_norm")
def layer_norm(
    x: Tensor,
    axes: Tensor | None = None,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: Tensor = EPSILON,
) -> Tensor:
    """Over `axes` (all by default), which need not be the last; gamma and beta have the shape of those axes."""
    rank = x.dim()
    over = sorted(axis % rank for axis in integers(axes)) if axes is not None else list(range(rank))
    sizes = [x.shape[axis] for axis in over]
    last = list(range(rank - len(over), rank))
    return F.layer_norm(x.movedim(over, last), sizes, gamma, beta, number(epsilon)).movedim(last, over)


@operator("l2_norm")
def l2_norm(x: Tensor, epsilon: Tensor = torch.tensor(1e-6)) -> Tensor:
    """Over the last three axes."""
    return x * torch.rsqrt(torch.sum(torch.square(x), (-3, -2, -1), keepdim=True) + epsilon)


@operator("local_response_norm")
def local_response_norm(
    x: Tensor,
    size: Tensor,
    alpha: Tensor = torch.tensor(1e-4),
    beta: Tensor = torch.tensor(0.75),
    k: Tensor = torch.tensor(1.0),
) -> Tensor:
    """Each channel by those around it; an even `size` reaches one further back than ahead, as in torch."""
    return F.local_response_norm(x, integer(size), number(alpha), number(beta), number(k))
