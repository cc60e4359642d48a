"""Attention in plain products equals the fused operator under every mask."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from edge.errors import ConversionError
from edge.passes.explicit_attention import explicit_attention

attention = F.scaled_dot_product_attention


@pytest.fixture
def qkv(numbers):
    return numbers(2, 4, 5, 8), numbers(2, 4, 7, 8), numbers(2, 4, 7, 6)


def test_plain_attention_becomes_two_products_and_a_softmax(rewritten, qkv):
    operators = rewritten(attention, qkv, explicit_attention)
    assert operators == {"mul": 1, "transpose": 1, "matmul": 2, "softmax": 1}


def test_attention_over_three_dimensions(rewritten, numbers):
    q, k, v = numbers(2, 5, 8), numbers(2, 7, 8), numbers(2, 7, 6)
    assert "scaled_dot_product_attention" not in rewritten(attention, (q, k, v), explicit_attention)


def test_a_scale_of_its_own(rewritten, qkv):
    assert "scaled_dot_product_attention" not in rewritten(partial(attention, scale=0.7), qkv, explicit_attention)


def test_a_mask_of_numbers_is_added(rewritten, qkv, numbers):
    operators = rewritten(attention, (*qkv, numbers(4, 5, 7)), explicit_attention)
    assert "scaled_dot_product_attention" not in operators


def test_a_mask_of_booleans_hides_keys(rewritten, qkv, numbers):
    operators = rewritten(attention, (*qkv, numbers(2, 1, 5, 7) > 0), explicit_attention)
    assert "scaled_dot_product_attention" not in operators


def test_a_query_that_may_look_nowhere_gets_zeros(rewritten, qkv):
    mask = torch.ones(5, 7, dtype=torch.bool)
    mask[2] = False
    assert "scaled_dot_product_attention" not in rewritten(attention, (*qkv, mask), explicit_attention)


def test_a_constant_mask_of_booleans(rewritten, qkv):
    mask = torch.arange(35).reshape(5, 7) % 3 > 0
    forward = lambda q, k, v: attention(q, k, v, torch.tensor(mask.tolist()))  # noqa: E731
    assert "scaled_dot_product_attention" not in rewritten(forward, qkv, explicit_attention)


@pytest.mark.parametrize("keys", [3, 5, 7])
def test_causal_attention(rewritten, numbers, keys):
    q, k, v = numbers(2, 4, 5, 8), numbers(2, 4, keys, 8), numbers(2, 4, keys, 6)
    operators = rewritten(partial(attention, is_causal=True), (q, k, v), explicit_attention)
    assert "scaled_dot_product_attention" not in operators


def test_heads_that_share_keys(rewritten, numbers):
    q, k, v = numbers(2, 6, 5, 8), numbers(2, 2, 7, 8), numbers(2, 2, 7, 6)
    forward = partial(attention, enable_gqa=True)
    assert "scaled_dot_product_attention" not in rewritten(forward, (q, k, v), explicit_attention)


def test_keys_that_are_broadcast_over_heads(rewritten, numbers):
    q, k, v = numbers(2, 6, 5, 8), numbers(2, 1, 7, 8), numbers(2, 1, 7, 6)
    assert "scaled_dot_product_attention" not in rewritten(attention, (q, k, v), explicit_attention)


def test_attention_that_drops_out_is_refused(rewritten, qkv):
    with pytest.raises(ConversionError, match="at random"):
        rewritten(partial(attention, dropout_p=0.1), qkv, explicit_attention)
