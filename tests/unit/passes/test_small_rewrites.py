"""One-hot codes, layer normalisation, stacked products and means in operators that can be delegated."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edge.passes.layer_norm_to_linear import layer_norm_to_linear
from edge.passes.matmul_to_bmm import matmul_to_bmm
from edge.passes.mean_to_pool import mean_to_pool
from edge.passes.one_hot_to_compare import one_hot_to_compare


def test_one_hot_becomes_a_comparison(rewritten):
    operators = rewritten(lambda x: F.one_hot(x, 5), (torch.tensor([[0, 4], [2, 2]]),), one_hot_to_compare)
    assert operators == {"reshape": 1, "eq": 1, "_to_copy": 1}


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"elementwise_affine": False}, {"eps": 0.3}])
def test_layer_norm_becomes_linear_layers(rewritten, numbers, options):
    layer = nn.LayerNorm(6, **options).double()
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
    operators = rewritten(layer, (numbers(2, 5, 6) + 3,), layer_norm_to_linear)
    assert operators["linear"] == 2
    assert "layer_norm" not in operators


def test_layer_norm_over_two_dimensions_stays(rewritten, numbers):
    assert rewritten(nn.LayerNorm((5, 6)).double(), (numbers(2, 5, 6),), layer_norm_to_linear) == {"layer_norm": 1}


@pytest.mark.parametrize("stack", [(3,), (2, 3), (2, 1, 3)])
def test_a_product_of_stacks_becomes_bmm(rewritten, numbers, stack):
    operators = rewritten(torch.matmul, (numbers(*stack, 4, 5), numbers(*stack, 5, 6)), matmul_to_bmm)
    assert operators["bmm"] == 1
    assert "matmul" not in operators


@pytest.mark.parametrize("left", [(4, 5), (1, 3, 4, 5)])
def test_a_product_that_broadcasts_stays(rewritten, numbers, left):
    assert rewritten(torch.matmul, (numbers(*left), numbers(2, 3, 5, 6)), matmul_to_bmm) == {"matmul": 1}


@pytest.mark.parametrize(
    ("shape", "over", "keep"),
    [((2, 3, 4, 5), (2, 3), False), ((2, 3, 4, 5), (-3, -2), False), ((2, 7, 3), (1,), False), ((2, 7, 3), (1,), True)],
)
def test_a_mean_becomes_pooling_of_planes(numbers, rewritten, shape, over, keep):
    operators = rewritten(lambda x: x.mean(over, keep), (numbers(*shape),), mean_to_pool)
    assert operators["mean"] == 1
    assert operators["reshape"] >= 1


@pytest.mark.parametrize(("over", "keep"), [((2, 3), True), ((0, 1), False)])
def test_a_mean_that_is_pooling_already_or_cannot_be_stays(rewritten, numbers, over, keep):
    assert rewritten(lambda x: x.mean(over, keep), (numbers(2, 3, 4, 5),), mean_to_pool) == {"mean": 1}
