"""Selecting, squeezing, splitting and rolling in the few operators that every runtime has."""

from __future__ import annotations

import pytest
import torch

from edge.passes.merge_reshapes import merge_reshapes
from edge.passes.roll_to_slice import roll_to_slice
from edge.passes.select_to_slice import select_to_slice
from edge.passes.split_to_slices import split_to_slices
from edge.passes.squeeze_to_view import squeeze_to_view
from edge.passes.view_to_reshape import view_to_reshape


@pytest.mark.parametrize("index", [0, 2, -1])
def test_select_becomes_a_slice(rewritten, numbers, index):
    assert "select" not in rewritten(lambda x: x[:, index] * 2, (numbers(2, 3, 4),), select_to_slice)


def test_writing_into_a_selected_row_still_writes_into_the_tensor(rewritten, numbers):
    def forward(x):
        table = x * 2
        table[:, 1] = 5
        return table

    assert "select" not in rewritten(forward, (numbers(2, 3, 4),), select_to_slice)


def test_squeeze_and_unsqueeze_become_reshapes(rewritten, numbers):
    def forward(x):
        return x.squeeze(1).unsqueeze(-1).squeeze(), x.squeeze((1, 2))[None]

    assert set(rewritten(forward, (numbers(2, 1, 1, 4),), squeeze_to_view)) == {"reshape"}


@pytest.mark.parametrize(("shifts", "dims"), [(1, 1), (-2, 2), ((-3, 3), (1, 2)), ((7, 0), (1, 2)), (5, None)])
def test_roll_becomes_slices_and_a_concatenation(rewritten, numbers, shifts, dims):
    operators = rewritten(lambda x: x.roll(shifts, dims) * 2, (numbers(2, 5, 4),), roll_to_slice)
    assert "roll" not in operators


@pytest.mark.parametrize(
    "pieces",
    [
        lambda x: x.split(2, 1),
        lambda x: x.split([1, 4], -2),
        lambda x: x.chunk(3, 1),
        lambda x: x.tensor_split(3, 1),
        lambda x: x.tensor_split((1, 3), 1),
        lambda x: x.unbind(1),
        lambda x: x.unbind(-1)[::-1],
    ],
)
def test_pieces_of_a_tensor_become_slices(rewritten, numbers, pieces):
    operators = rewritten(pieces, (numbers(2, 5, 4),), split_to_slices)
    assert set(operators) <= {"slice", "reshape"}


def test_a_view_becomes_a_reshape(rewritten, numbers):
    assert rewritten(lambda x: x.view(6, 4), (numbers(2, 3, 4),), view_to_reshape) == {"reshape": 1}


def test_reshapes_in_a_row_become_one(rewritten, numbers):
    operators = rewritten(lambda x: x.reshape(6, 4).reshape(4, 6).reshape(24) * 2, (numbers(2, 3, 4),), merge_reshapes)
    assert operators == {"reshape": 1, "mul": 1}


def test_reshapes_there_and_back_vanish(rewritten, numbers):
    operators = rewritten(lambda x: x.reshape(6, 4).reshape(2, 3, 4) * 2, (numbers(2, 3, 4),), merge_reshapes)
    assert operators == {"mul": 1}


def test_a_reshape_of_memory_that_is_written_stays(rewritten, numbers):
    def forward(x):
        turned = x.t().reshape(12)  # a copy
        shaped = turned.reshape(3, 4)
        turned.add_(1)
        return shaped

    assert rewritten(forward, (numbers(3, 4),), merge_reshapes)["reshape"] == 2


def test_graphs_without_the_patterns_stay_as_they_are(rewritten, numbers):
    passes = (select_to_slice, squeeze_to_view, roll_to_slice, split_to_slices, view_to_reshape, merge_reshapes)
    assert rewritten(torch.tanh, (numbers(2, 3),), *passes) == {"tanh": 1}
