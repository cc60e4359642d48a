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


@operator("silu")
def silu(x: Tensor) -> Tensor:
    return F.silu(x)


@operator("sigmoid")
def sigmoid(x: Tensor) -> Tensor:
    return torch.sigmoid(x)


@operator("sigmoid_hard")
def sigmoid_hard(x: Tensor, alpha: Tensor = torch.tensor(0.2), beta: Tensor = torch.tensor(0.5)) -> Tensor:
    return (x * alpha + beta).clamp(0, 1)


@operator("thresholded_relu")
def thresholded_relu(x: Tensor, alpha: Tensor = torch.tensor(1.0)) -> Tensor:
    """x where x >= alpha, else 0; alpha itself stays, unlike in torch's `threshold`."""
    return torch.where(x >= alpha, x, 0)


@operator("gelu")
def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    """EXACT, TANH_APPROXIMATION, or SIGMOID_APPROXIMATION: x sigmoid(1.702 x)."""
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return F.gelu(x, approximate={"EXACT": "none", "TANH_APPROXIMATION": "tanh"}[mode])


@operator("softmax")
def softmax(x: Tensor, axis: Tensor = torch.tensor(-1)) -> Tensor:
    return torch.softmax(x, integer(axis))


@operator("leaky_relu")
def leaky_relu(x: Tensor, alpha: Tensor = torch.tensor(0.01)) -> Tensor:
    return F.leaky_relu(x, number(alpha))
