"""What `drop_aliases` takes away, and what it must leave."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from edge.passes.drop_aliases import drop_aliases
from edge.passes.drop_assertions import drop_assertions


def test_a_full_slice_goes_away(rewritten, numbers):
    assert rewritten(lambda x: x[:, :] * 2, (numbers(3, 4),), drop_aliases) == {"mul": 1}


def test_a_constant_is_read_without_a_copy(rewritten, numbers):
    assert rewritten(lambda x: x + torch.tensor([1.0, 2.0]), (numbers(3, 2),), drop_aliases) == {"add": 1}


def test_dropout_at_inference_goes_away(rewritten, numbers):
    assert rewritten(lambda x: F.dropout(x, 0.5, training=False) * 2, (numbers(3, 4),), drop_aliases) == {"mul": 1}


def test_dropout_that_is_on_stays(rewritten, numbers):
    operators = rewritten(
        lambda x: F.dropout(x, 1.0, training=True) * x.new_zeros(1) + x, (numbers(3, 4),), drop_aliases
    )
    assert operators["dropout"] == 1


def test_conversions_expansions_and_pads_that_change_nothing_go_away(rewritten, numbers):
    def forward(x):
        return F.pad(x.to(torch.float64).expand(3, 4).contiguous().reshape(3, 4), (0, 0)).clone() * 2

    assert rewritten(forward, (numbers(3, 4),), drop_assertions, drop_aliases) == {"mul": 1}


def test_a_pad_that_moves_the_picture_stays(rewritten, numbers):
    assert rewritten(lambda x: F.pad(x, (1, -1)), (numbers(3, 4),), drop_aliases) == {"pad": 1}


def test_a_conversion_to_another_type_stays(rewritten, numbers):
    assert rewritten(lambda x: x.to(torch.float32), (numbers(3, 4),), drop_aliases)["to"] == 1


def test_a_transposed_tensor_is_still_laid_out_anew(rewritten, numbers):
    assert rewritten(lambda x: x.t().contiguous(), (numbers(3, 4),), drop_aliases)["contiguous"] == 1


def test_a_copy_that_is_written_afterwards_stays_a_copy(rewritten, numbers):
    def forward(x):
        doubled = x * 2
        return doubled.clone().add_(1), doubled

    assert rewritten(forward, (numbers(3, 4),), drop_aliases)["clone"] == 1


def test_a_copy_of_a_view_stays_when_its_base_is_written(rewritten, numbers):
    def forward(x):
        base = x * 2
        kept = base.reshape(4, 3).clone()
        base.add_(1)
        return kept, base

    assert rewritten(forward, (numbers(3, 4),), drop_aliases)["clone"] == 1
