"""Regions that switch autocast off dissolve."""

from __future__ import annotations

import torch

from edge.passes.inline_regions import inline_regions


def _under_autocast(enabled):
    def forward(x):
        with torch.autocast("cpu", enabled=enabled):
            y = x @ x.t()
            z = y * 2
        return y + z

    return forward


def test_a_region_without_autocast_becomes_its_own_calls(rewritten, numbers):
    operators = rewritten(_under_autocast(False), (numbers(3, 4),), inline_regions)
    assert operators == {"t": 1, "matmul": 1, "mul": 1, "add": 1}


def test_a_region_under_autocast_stays(rewritten, numbers):
    assert rewritten(_under_autocast(True), (numbers(3, 4).float(),), inline_regions)["wrap_with_autocast"] == 1
