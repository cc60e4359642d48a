"""Applies passes to a small module, and insists that the outputs stay equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edge.passes.capture import Pass, capture, rewrite


class _Forward(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


@pytest.fixture
def rewritten() -> Callable[..., Counter[str]]:
    """Rewrites a module or function, compares the outputs, and gives the operators that are left, by name."""

    def rewritten(forward: Any, inputs: tuple[Tensor, ...], *passes: Pass) -> Counter[str]:
        torch.manual_seed(0)
        module = forward if isinstance(forward, nn.Module) else _Forward(forward)
        program = capture(module, inputs)
        result = rewrite(program, passes)
        for before, after in zip(_outputs(module(*inputs)), _outputs(result.module()(*inputs)), strict=True):
            assert before.dtype == after.dtype
            assert before.double().std() > 1e-2, "outputs that hardly vary prove nothing"
            torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-9)
        return Counter(_name(node) for node in result.graph.nodes if node.op == "call_function")

    return rewritten


@pytest.fixture
def numbers() -> Callable[..., Tensor]:
    """Random float64 tensors, so that an inexact rewrite cannot hide behind rounding."""
    generator = torch.Generator().manual_seed(1)
    return lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)


def _outputs(result: Any) -> tuple[Tensor, ...]:
    return (result,) if isinstance(result, Tensor) else tuple(result)


def _name(node: torch.fx.Node) -> str:
    schema = getattr(node.target, "_schema", None)
    return schema.name.removeprefix("aten::") if schema else node.target.__name__
