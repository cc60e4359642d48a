"""Activations: one value in, one value out, and softmax."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from exporters.coreml.runtime.ops.table import Table, family, integer, number

TABLE: Table = {}
operator = family(TABLE)


@operator("relu")
def relu(x: Tensor) -> Tensor:
    return torch.relu(x)


@operator("relu6")
def relu6(x: Tensor) -> Tensor:
    return F.relu6(x)


@operator("silu")
def silu(x: Tensor) -> Tensor:
    return F.silu(x)


@operator("sigmoid")
def sigmoid(x: Tensor) -> Tensor:
    return torch.sigmoid(x)


@operator("sigmoid_hard")
def sigmoid_hard(x: Tensor, alpha: Tensor = torch.tensor(0.2), beta: Tensor = torch.tensor(0.5)) -> Tensor:
    return (x * alpha).add_(beta).clamp_(0, 1)


@operator("softplus")
def softplus(x: Tensor) -> Tensor:
    return F.softplus(x)


@operator("softplus_parametric")
def softplus_parametric(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """alpha log(1 + e^(beta x)), with an alpha and a beta (C,) for each channel of x (B, C, ...)."""
    return per_channel(alpha, x) * F.softplus(per_channel(beta, x) * x)


@operator("softsign")
def softsign(x: Tensor) -> Tensor:
    return F.softsign(x)


@operator("scaled_tanh")
def scaled_tanh(x: Tensor, alpha: Tensor = torch.tensor(1.0), beta: Tensor = torch.tensor(1.0)) -> Tensor:
    return alpha * torch.tanh(beta * x)


@operator("linear_activation")
def linear_activation(x: Tensor, alpha: Tensor, beta: Tensor = torch.tensor(0.0)) -> Tensor:
    return alpha * x + beta


@operator("clamped_relu")
def clamped_relu(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """The leaky relu of slope alpha, beta at most."""
    return torch.minimum(torch.where(x >= 0, x, alpha * x), beta)


@operator("thresholded_relu")
def thresholded_relu(x: Tensor, alpha: Tensor = torch.tensor(1.0)) -> Tensor:
    """x where x >= alpha, else 0. Torch's `threshold`, much the faster way, drops what equals it: so the number before."""
    return F.threshold(x, number(torch.nextafter(alpha, alpha.new_tensor(-torch.inf))), 0.0)


@operator("elu")
def elu(x: Tensor, alpha: Tensor = torch.tensor(1.0)) -> Tensor:
    return F.elu(x, number(alpha))


@operator("leaky_relu")
def leaky_relu(x: Tensor, alpha: Tensor = torch.tensor(0.01)) -> Tensor:
    return F.leaky_relu(x, number(alpha))


@operator("prelu")
def prelu(x: Tensor, alpha: Tensor) -> Tensor:
    """A slope (C,) for each channel of x (B, C, ...)."""
    return F.prelu(x, alpha)


@operator("gelu")
def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    """EXACT, TANH_APPROXIMATION, or SIGMOID_APPROXIMATION: x sigmoid(1.702 x)."""
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return F.gelu(x, approximate={"EXACT": "none", "TANH_APPROXIMATION": "tanh"}[mode])


@operator("softmax")
def softmax(x: Tensor, axis: Tensor = torch.tensor(-1)) -> Tensor:
    return torch.softmax(x, integer(axis))


def per_channel(values: Tensor, x: Tensor) -> Tensor:
    """Values (C,) in the shape that broadcasts along the second axis of x (B, C, ...)."""
    return values.reshape(-1, *[1] * (x.dim() - 2))
