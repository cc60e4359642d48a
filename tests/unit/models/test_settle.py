"""Settled networks answer differently to different pictures, with signals that half precision can hold."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge.card import TensorSpec
from edge.models.settle import settle_statistics
from edge.models.sources import resolve
from edge.models.weights import state_sha256
from edge.reference import ModelRequest

PICTURE = TensorSpec("image", (1, 3, 16, 16))


def residual(depth: int = 12) -> nn.Sequential:
    """Blocks that double the power of their input, statistics as drawn."""
    torch.manual_seed(0)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)
            self.norm = nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.norm(4 * self.conv(x))

    return nn.Sequential(*(Block() for _ in range(depth))).eval()


def power(module: nn.Module) -> float:
    with torch.no_grad():
        return float(module(torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))).square().mean())


def test_signals_do_not_explode_through_residual_branches() -> None:
    blind, settled = residual(), residual()
    settle_statistics(settled, PICTURE, 0)
    assert power(blind) > 1e4
    assert power(settled) < 100


def test_the_factors_are_powers_of_two_so_that_every_machine_finds_the_same() -> None:
    settled = residual()
    settle_statistics(settled, PICTURE, 0)
    variances = torch.cat([layer.running_var for layer in settled.modules() if isinstance(layer, nn.BatchNorm2d)])
    assert torch.equal(variances.log2(), variances.log2().round())
    assert variances.min() > 1


def test_a_network_without_batch_norms_is_left_alone() -> None:
    module = nn.Conv2d(3, 4, 1)
    before = state_sha256(module)
    settle_statistics(module, PICTURE, 0)
    assert state_sha256(module) == before


def test_the_answer_depends_on_the_picture() -> None:
    for name in ("efficientformer_mini", "efficientvit_mini"):
        module = resolve(ModelRequest(name)).module
        patches = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(2))
        with torch.no_grad():
            answers = module(nn.functional.interpolate(patches, size=(32, 32), mode="bilinear"))
        assert answers.std(0).mean() > 0.05 * answers.std(), name
