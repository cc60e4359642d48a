"""Bicubic resizing, unfolding and folding as linear layers and convolutions."""

from __future__ import annotations

import pytest
import torch.nn.functional as F

from edge.passes.bicubic_to_linear import bicubic_to_linear
from edge.passes.fold_to_convolution import fold_to_convolution
from edge.passes.unfold_to_convolution import unfold_to_convolution

BLOCKS = [
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (2, 3), "dilation": (2, 1), "stride": (3, 2), "padding": (0, 1)},
    {"kernel_size": 2, "stride": 3},
]


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize("how", [{"size": (9, 7)}, {"size": (3, 4)}, {"scale_factor": 1.7}, {"scale_factor": (0.6, 2)}])
def test_bicubic_resizing_becomes_two_linear_layers(rewritten, numbers, align, how):
    def forward(x):
        return F.interpolate(x, mode="bicubic", align_corners=align, **how)

    assert rewritten(forward, (numbers(2, 3, 6, 5),), bicubic_to_linear) == {"linear": 2, "transpose": 2}


def test_bicubic_resizing_by_factors_that_are_measured_again(rewritten, numbers):
    def forward(x):
        return F.interpolate(x, scale_factor=1.7, mode="bicubic", recompute_scale_factor=True)

    assert "upsample_bicubic2d" not in rewritten(forward, (numbers(2, 3, 6, 5),), bicubic_to_linear)


@pytest.mark.parametrize("blocks", BLOCKS)
def test_unfold_becomes_a_convolution(rewritten, numbers, blocks):
    operators = rewritten(lambda x: F.unfold(x, **blocks), (numbers(2, 3, 8, 7),), unfold_to_convolution)
    assert operators == {"conv2d": 1, "reshape": 1}


@pytest.mark.parametrize("blocks", BLOCKS)
def test_fold_becomes_a_transposed_convolution(rewritten, numbers, blocks):
    columns = F.unfold(numbers(2, 3, 8, 7), **blocks)
    operators = rewritten(lambda x: F.fold(x, (8, 7), **blocks), (columns,), fold_to_convolution)
    assert operators["conv_transpose2d"] == 1
    assert "col2im" not in operators


def test_blocks_of_a_single_picture(rewritten, numbers):
    def forward(x):
        return F.fold(F.unfold(x, 3, padding=1), (6, 5), 3, padding=1)

    operators = rewritten(forward, (numbers(3, 6, 5),), unfold_to_convolution, fold_to_convolution)
    assert not {"im2col", "col2im"} & set(operators)
