"""What part of a weight is lent: the first channels, the middle of a kernel, the biases of the same offsets."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edge.errors import WeightsError
from edge.models.efficientformer_parts import BiasedAttention
from edge.search.lending import lent


def test_the_first_of_each_axis_is_lent() -> None:
    weight = torch.arange(24.0).reshape(4, 6)
    assert torch.equal(lent("head.weight", weight, (2, 3)), weight[:2, :3])
    assert torch.equal(lent("norm.bias", weight[0], (5,)), weight[0, :5])


def test_of_a_kernel_the_middle_is_lent() -> None:
    weight = torch.randn(8, 4, 7, 5)
    assert torch.equal(lent("conv.weight", weight, (6, 4, 3, 5)), weight[:6, :, 2:5])
    assert torch.equal(lent("conv.weight", weight, (8, 4, 5, 3)), weight[:, :, 1:6, 1:4])


@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_a_bias_is_that_of_places_as_far_apart(side: int) -> None:
    large = BiasedAttention(4, (4, 4), query_stride=1, index_in_state=False)
    small = BiasedAttention(3, (side, side), query_stride=1, index_in_state=False)
    nn.init.normal_(large.attention_biases)
    small.attention_biases = nn.Parameter(lent("attention_biases", large.attention_biases, (3, side * side)).detach())
    places = [4 * row + column for row in range(side) for column in range(side)]
    assert torch.equal(small.bias(), large.bias()[:3, places][:, :, places])


def test_biases_of_a_map_of_the_same_size_need_not_be_of_a_square_one() -> None:
    table = torch.randn(4, 6)
    assert torch.equal(lent("attn.attention_biases", table, (2, 6)), table[:2])


def test_biases_of_other_than_square_maps_cannot_be_lent_to_smaller_ones() -> None:
    for places, fewer in ((6, 4), (9, 6)):
        with pytest.raises(WeightsError, match="attention_biases") as caught:
            lent("attn.attention_biases", torch.randn(4, places), (4, fewer))
        assert caught.value.hint


@pytest.mark.parametrize("shape", [(5, 6), (4, 7), (4,), (4, 6, 1)])
def test_more_than_there_is_cannot_be_lent(shape: tuple[int, ...]) -> None:
    with pytest.raises(WeightsError, match=r"head.weight of \(4, 6\)"):
        lent("head.weight", torch.zeros(4, 6), shape)


def test_gradients_reach_what_was_lent_and_nothing_else() -> None:
    weight = torch.randn(4, 4, 5, 5, requires_grad=True)
    lent("conv.weight", weight, (2, 3, 3, 3)).sum().backward()
    expected = torch.zeros(4, 4, 5, 5)
    expected[:2, :3, 1:4, 1:4] = 1
    assert weight.grad is not None
    assert torch.equal(weight.grad, expected)
