"""A bound on a result's size is never below it, and excludes the sizes that networks have."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from exporters.coreml.runtime.ops import OPERATORS, PAIRWISE
from exporters.coreml.runtime.ops.sizes import most_values

OPERANDS = {
    "conv": {"x": torch.ones(1, 8, 9, 9), "weight": torch.ones(16, 8, 2, 2), "pad_type": "custom",
             "pad": torch.tensor([3, 4, 5, 6])},
    "linear": {"x": torch.ones(2, 3, 4), "weight": torch.ones(7, 4)},
    "matmul": {"x": torch.ones(5, 1, 2, 3), "y": torch.ones(4, 3, 6)},
    "add": {"x": torch.ones(5, 1, 3), "y": torch.ones(4, 1)},
    "select": {"cond": torch.ones(4, 1, dtype=torch.bool), "a": torch.ones(1, 6), "b": torch.tensor(0.0)},
    "prelu": {"x": torch.ones(1, 8, 3, 3), "alpha": torch.ones(8)},
    "gather": {"x": torch.ones(5, 4), "indices": torch.zeros((3, 3), dtype=torch.int32)},
    "concat": {"values": (torch.ones(2, 3), torch.ones(2, 4)), "axis": torch.tensor(1)},
    "scaled_dot_product_attention": {"query": torch.ones(1, 2, 3, 4), "key": torch.ones(1, 2, 5, 4),
                                     "value": torch.ones(1, 2, 5, 6)},
}  # fmt: skip

PREDICT = """
import sys
import torch
from exporters.coreml.runtime.rehearsal import is_surely_small
x, weight = torch.empty(1, 3, 224, 224), torch.empty(64, 3, 7, 7)
big = torch.empty(1, 256, 56, 56)
assert is_surely_small("conv", {"x": x, "weight": weight})
assert is_surely_small("add", {"x": big, "y": big})
assert is_surely_small("reshape", {"x": big, "shape": torch.tensor([1, -1])})
print("torch._dynamo" in sys.modules)
"""


@pytest.mark.parametrize("kind", OPERANDS)
def test_a_result_is_no_larger_than_its_bound(kind):
    found = OPERATORS[kind].compute(**OPERANDS[kind])
    assert found.numel() <= most_values(kind, OPERANDS[kind], PAIRWISE)


@pytest.mark.parametrize("kind", ["conv", "linear", "matmul", "add"])
def test_a_bound_is_not_far_above_what_it_bounds(kind):
    found = OPERATORS[kind].compute(**OPERANDS[kind])
    assert most_values(kind, OPERANDS[kind], PAIRWISE) <= 4 * found.numel()


def test_ordinary_layers_are_excluded_without_the_second_that_torchs_shape_arithmetic_takes_to_import():
    done = subprocess.run([sys.executable, "-c", PREDICT], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
