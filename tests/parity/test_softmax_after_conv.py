"""ExecuTorch 1.4.1 is silently wrong on a 4-D softmax that follows a convolution; `flatten_softmax` mends it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edge.passes.capture import Pass, capture, rewrite
from edge.passes.flatten_softmax import flatten_softmax
from edge.passes.layer_norm_to_linear import layer_norm_to_linear

pytest.importorskip("executorch")


class SoftmaxAfterConvolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x).softmax(-1)


def _lowered(module: nn.Module, inputs: tuple[Tensor, ...], *passes: Pass):
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    return to_edge_transform_and_lower(rewrite(capture(module, inputs), passes), partitioner=[XnnpackPartitioner()])


def _error(module: nn.Module, inputs: tuple[Tensor, ...], *passes: Pass) -> float:
    """How far the executed .pte is from PyTorch at worst, in standard deviations of the output."""
    from executorch.runtime import Runtime

    file = _lowered(module, inputs, *passes).to_executorch().buffer
    program = Runtime.get().load_program(file)  # must outlive its method
    [output] = program.load_method("forward").execute(inputs)
    expected = module(*inputs)
    return float((output - expected).abs().max() / expected.std())


@pytest.fixture
def case() -> tuple[nn.Module, tuple[Tensor, ...]]:
    torch.manual_seed(0)
    return SoftmaxAfterConvolution().requires_grad_(False), (torch.randn(1, 4, 10, 12),)


def test_the_defect_is_still_there(case):
    assert _error(*case) > 1, "mended upstream: flatten_softmax may be obsolete"


def test_flattening_the_softmax_mends_it(case):
    assert _error(*case, flatten_softmax) < 1e-5


def test_a_layer_norm_in_linear_layers_leaves_nothing_outside_the_delegate():
    module = nn.Sequential(nn.Linear(16, 24), nn.LayerNorm(24), nn.Linear(24, 8)).requires_grad_(False)
    graph = _lowered(module, (torch.randn(1, 10, 16),), layer_norm_to_linear).exported_program().graph
    called = [node.target.__name__ for node in graph.nodes if node.op == "call_function"]
    assert called == ["executorch_call_delegate", "getitem"]
