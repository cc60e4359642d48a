"""The passes together, on blocks that need several of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from edge.passes.hygiene import HYGIENE


class Block(nn.Module):
    """A shifted window with attention, the way published vision transformers write it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8)
        self.qkv, self.drop = nn.Linear(8, 24), nn.Dropout(0.2)
        self.table = nn.Parameter(torch.randn(2, 16))
        self.register_buffer("index", torch.arange(256).reshape(16, 16) % 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(x)[:, :]).roll((1, -1), (2, 3)).flatten(2).transpose(1, 2)
        qkv = self.qkv(x).reshape(1, 16, 3, 2, 4).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        y = F.scaled_dot_product_attention(q, k, v, self.table[:, self.index].unsqueeze(0))
        return self.drop(x + y.transpose(1, 2).reshape(1, 16, 8)).squeeze(0)


def test_a_block_comes_out_in_plain_operators(rewritten, numbers):
    operators = rewritten(Block().double(), (numbers(1, 3, 4, 4),), *HYGIENE)
    plain = {"conv2d", "linear", "matmul", "softmax", "add", "mul", "cat", "slice", "reshape", "flatten", "permute"}
    assert set(operators) <= plain | {"transpose"}


def test_a_graph_without_any_pattern_stays_as_it_is(rewritten, numbers):
    assert rewritten(torch.tanh, (numbers(2, 3),), *HYGIENE) == {"tanh": 1}
