"""A max pooling without a stride gets its kernel's; one with a stride keeps it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.passes.capture import capture, rewrite
from edge.passes.explicit_pool_stride import explicit_pool_stride


class Pools(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return F.max_pool2d(x, 2), F.max_pool2d(x, (3, 2), ceil_mode=True), F.max_pool2d(x, 3, stride=1, padding=1)


def test_pooling_keeps_its_values_and_every_stride_is_written_out():
    x = torch.randn(1, 2, 7, 8)
    program = rewrite(capture(Pools(), (x,)), (explicit_pool_stride,))
    for wanted, got in zip(Pools()(x), program.module()(x), strict=True):
        assert torch.equal(wanted, got)
    pools = [node for node in program.graph.nodes if node.target is torch.ops.aten.max_pool2d.default]
    assert [node.args[2] for node in pools] == [[2, 2], [3, 2], [1, 1]]
