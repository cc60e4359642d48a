"""The editing that all passes share."""

from __future__ import annotations

import pytest
import torch

from edge.errors import InternalError
from edge.passes._graph import replace_calls
from edge.passes.capture import capture, rewrite

aten = torch.ops.aten


class Twice(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.tanh().tanh()


def test_a_constant_that_is_asked_for_twice_is_kept_once():
    def shift(graph_module):
        build = lambda at, x: at.call(aten.add.Tensor, x, at.constant(torch.ones(3)))  # noqa: E731
        return replace_calls(graph_module, {aten.tanh.default}, build)

    program = rewrite(capture(Twice(), (torch.zeros(2, 3),)), (shift,))
    assert program.module()(torch.zeros(2, 3)).tolist() == [[2.0] * 3] * 2
    assert len(program.state_dict) == 1


def test_what_one_pass_inserts_the_next_can_measure():
    seen = []

    def widen(graph_module):
        return replace_calls(graph_module, {aten.tanh.default}, lambda at, x: at.call(aten.mul.Tensor, x, 2.0))

    def measure(graph_module):
        return replace_calls(graph_module, {aten.mul.Tensor}, lambda at, _x, _factor: seen.append(at.shape))

    rewrite(capture(Twice(), (torch.zeros(2, 3),)), (widen, measure))
    assert seen == [[2, 3], [2, 3]]


def test_a_rewrite_that_gives_another_shape_is_our_own_fault():
    def flatten(graph_module):
        return replace_calls(graph_module, {aten.tanh.default}, lambda at, x: at.call(aten.reshape.default, x, [6]))

    with pytest.raises(InternalError, match="its rewrite"):
        rewrite(capture(Twice(), (torch.zeros(2, 3),)), (flatten,))
