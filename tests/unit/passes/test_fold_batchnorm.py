"""Batch normalisation vanishes into the layer before it, and stays where it cannot."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edge.passes.capture import capture, rewrite
from edge.passes.fold_batchnorm import fold_batchnorm


def _randomised(module: nn.Module) -> nn.Module:
    for norm in module.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            norm.running_mean.normal_(0, 0.3)
            norm.running_var.uniform_(0.01, 1.5)
            if norm.affine:
                nn.init.uniform_(norm.weight, 0.5, 1.5)
                nn.init.normal_(norm.bias)
    return module.double()


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3, padding=1),
        nn.Conv2d(4, 6, 3, padding="same", bias=False),
        nn.Conv2d(4, 6, 2, stride=2, groups=2, bias=False),
    ],
)
@pytest.mark.parametrize("norm", [nn.BatchNorm2d(6), nn.BatchNorm2d(6, eps=0.1, affine=False)])
def test_a_normalisation_folds_into_its_convolution(rewritten, numbers, layer, norm):
    pair = _randomised(nn.Sequential(layer, norm))
    assert rewritten(pair, (numbers(2, 4, 6, 6),), fold_batchnorm) == {"conv2d": 1}


def test_a_normalisation_folds_into_its_linear_layer(rewritten, numbers):
    pair = _randomised(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6)))
    assert rewritten(pair, (numbers(5, 4),), fold_batchnorm) == {"linear": 1}


def test_a_normalisation_along_another_axis_than_the_layer_stays(rewritten, numbers):
    pair = _randomised(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6)))
    assert rewritten(pair, (numbers(5, 6, 4),), fold_batchnorm)["batch_norm"] == 1


def test_a_layer_that_is_read_elsewhere_stays(rewritten, numbers):
    class Forked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.layer(x)
            return y + self.norm(y)

    assert rewritten(_randomised(Forked()), (numbers(2, 4, 6, 6),), fold_batchnorm)["batch_norm"] == 1


def test_the_old_weights_do_not_travel_along(numbers):
    pair = _randomised(nn.Sequential(nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6)))
    program = rewrite(capture(pair, (numbers(2, 4, 6, 6),)), (fold_batchnorm,))
    assert sum(tensor.numel() for tensor in program.state_dict.values()) == 4 * 6 + 6
