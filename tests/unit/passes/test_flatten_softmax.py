"""Softmax leaves four dimensions, and only where XNNPACK would take it."""

from __future__ import annotations

import pytest
import torch

from edge.passes.capture import capture, rewrite
from edge.passes.flatten_softmax import flatten_softmax


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 2, 3, 4, 5)])
def test_a_softmax_over_the_last_of_many_dimensions_becomes_flat(rewritten, numbers, shape):
    operators = rewritten(lambda x: x.softmax(-1), (numbers(*shape),), flatten_softmax)
    assert operators == {"reshape": 2, "softmax": 1}


def test_the_flat_softmax_has_three_dimensions(numbers):
    program = rewrite(capture(torch.nn.Softmax(dim=3), (numbers(2, 3, 4, 5),)), (flatten_softmax,))
    [softmax] = [node for node in program.graph.nodes if "softmax" in node.name]
    assert list(softmax.meta["val"].shape) == [6, 4, 5]


@pytest.mark.parametrize(("shape", "dim"), [((2, 3, 4), -1), ((2, 3, 4, 5), 1)])
def test_any_other_softmax_stays(rewritten, numbers, shape, dim):
    assert rewritten(lambda x: x.softmax(dim), (numbers(*shape),), flatten_softmax) == {"softmax": 1}
