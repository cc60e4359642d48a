"""Checks leave the graph and their results with them."""

from __future__ import annotations

import torch

from edge.passes.drop_assertions import drop_assertions


def test_a_check_of_values_goes_away_with_what_fed_it(rewritten, numbers):
    def forward(x):
        torch._assert_async((x.abs() < 100).all(), "too large")
        return x * 2

    assert rewritten(forward, (numbers(3, 4),), drop_assertions) == {"mul": 1}


def test_a_check_of_a_conversion_goes_away(rewritten, numbers):
    operators = rewritten(lambda x: x.to(torch.float32) * 2, (numbers(3, 4),), drop_assertions)
    assert operators == {"_to_copy": 1, "mul": 1}
