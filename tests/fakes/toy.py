"""Small networks with the operators that go wrong: exact GELU, padded average pooling, softmax attention, several inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Toy(nn.Module):
    """Picture (B, 3, 32, 32) to logits (B, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.GELU())
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        self.q, self.k, self.v = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 16)
        self.down = nn.Conv2d(16, 16, 3, stride=2, padding=1)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.down(x + self.pool(x))
        tokens = x.flatten(2).transpose(1, 2)
        attention = torch.softmax(self.q(tokens) @ self.k(tokens).transpose(1, 2) * 0.25, dim=-1)
        return self.head((tokens + attention @ self.v(tokens)).mean(1))


class TwoInTwoOut(nn.Module):
    """Two tensors in, their sum and product out."""

    def forward(self, left: Tensor, right: Tensor) -> dict[str, Tensor]:
        return {"sum": left + right, "product": left * right}


def seeded(module: nn.Module) -> nn.Module:
    """Weights large enough that every branch matters, batch-norm statistics away from 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 4
        parameter.data = torch.randn(parameter.shape, generator=generator) * (2 / fan_in) ** 0.5
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean = torch.randn(layer.num_features, generator=generator) * 0.1
            layer.running_var = torch.rand(layer.num_features, generator=generator) + 0.5
    return module.eval()


def network() -> tuple[nn.Module, dict]:
    """The toy classifier."""
    return seeded(Toy()), {"inputs": [{"name": "image", "shape": [1, 3, 32, 32]}], "labels": ["a", "b", "c", "d", "e"]}


def two_in_two_out() -> tuple[nn.Module, dict]:
    """A module with several inputs and outputs."""
    shape = [1, 4, 6]
    return TwoInTwoOut(), {"inputs": [{"name": "left", "shape": shape}, {"name": "right", "shape": shape}]}


class Tokens(nn.Module):
    """Integers in: (B, 6) to (B, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(2, 8)
        self.head = nn.Linear(48, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.table(tokens).flatten(1))


def tokens() -> tuple[nn.Module, dict]:
    """A module whose input is integers."""
    return seeded(Tokens()), {"inputs": [{"name": "tokens", "shape": [1, 6], "dtype": "int64"}]}


class ValueDependent(nn.Module):
    """Cannot be captured: which branch runs depends on a value."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def value_dependent() -> nn.Module:
    """A module that does not export."""
    return ValueDependent()


def other_network() -> tuple[nn.Module, dict]:
    """The toy classifier with another head: a file of `network` is not this one."""
    module, facts = network()
    module.head.bias.data += 1
    return module, facts
