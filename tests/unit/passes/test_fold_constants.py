"""What the input cannot change is computed once."""

from __future__ import annotations

import torch
from torch import nn

from edge.passes.fold_constants import LIMIT, fold_constants


def test_a_gathered_bias_becomes_a_constant(rewritten, numbers):
    class Biased(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(numbers(4, 9))
            self.register_buffer("index", torch.arange(9).flip(0).reshape(3, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.table[:, self.index].unsqueeze(0)

    assert rewritten(Biased(), (numbers(2, 4, 3, 3),), fold_constants) == {"add": 1}


def test_a_table_that_is_written_row_by_row_becomes_a_constant(rewritten, numbers):
    def forward(x):
        table = torch.zeros(3, 4, dtype=x.dtype)
        table[1] = torch.arange(4)
        table[:, 0] += 7
        return x * table

    assert rewritten(forward, (numbers(3, 4),), fold_constants) == {"mul": 1}


def test_each_reader_sees_the_table_as_it_was_at_its_place(rewritten, numbers):
    def forward(x):
        table = torch.ones(4, dtype=x.dtype)
        first = x * table
        table[1] = 5
        return first, x * table

    assert rewritten(forward, (numbers(3, 4),), fold_constants) == {"mul": 2}


def test_a_table_that_the_input_is_written_into_stays(rewritten, numbers):
    def forward(x):
        table = torch.zeros(3, 4, dtype=x.dtype)
        table[1] = x[0]
        return table * 2

    assert rewritten(forward, (numbers(3, 4),), fold_constants)["copy_"] == 1


def test_a_result_that_is_too_large_to_ship_stays(rewritten, numbers):
    operators = rewritten(lambda x: x.sum() * torch.arange(LIMIT + 1), (numbers(3, 4),), fold_constants)
    assert operators["arange"] == 1
