"""Convolution over space and time as one over space."""

from __future__ import annotations

import pytest
from torch import nn

from edge.passes.volume_to_planes import volume_to_planes

CASES = [
    nn.Conv3d(4, 6, 3, padding=1),
    nn.Conv3d(4, 6, (2, 3, 3), stride=(2, 2, 1), bias=False),
    nn.Conv3d(4, 8, (3, 2, 1), dilation=(2, 1, 1), groups=2, padding=(1, 0, 1)),
    nn.Conv3d(4, 4, 5, groups=4, padding=2),
]


@pytest.mark.parametrize("layer", CASES)
def test_a_convolution_over_time_becomes_one_over_planes(rewritten, numbers, layer):
    operators = rewritten(layer.double(), (numbers(2, 4, 6, 7, 8),), volume_to_planes)
    assert operators["conv2d"] == 1
    assert "conv3d" not in operators


def test_a_convolution_padded_by_name_stays(rewritten, numbers):
    layer = nn.Conv3d(4, 6, 3, padding="same").double()
    assert rewritten(layer, (numbers(2, 4, 6, 7, 8),), volume_to_planes)["conv3d"] == 1
