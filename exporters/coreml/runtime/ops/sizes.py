"""How large a result can be, known before anything is allocated: a small file can ask for a huge one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import zip_longest
from typing import Any

from torch import Tensor

from edge.errors import BadArtifactError
from exporters.coreml.runtime.constants import LARGEST_TENSOR_BYTES

WIDEST_BYTES = 8
"""What an index or an unconverted integer takes."""


def affordable(shape: Iterable[int]) -> list[int]:
    """`shape` again. Raises `BadArtifactError` when no network has a tensor of that size."""
    sizes = list(shape)
    if min(sizes, default=0) < 0 or math.prod(sizes) * WIDEST_BYTES > LARGEST_TENSOR_BYTES:
        raise BadArtifactError(f"a tensor of shape {tuple(sizes)} is asked for", hint="do not trust this file")
    return sizes


def most_values(kind: str, operands: Mapping[str, Any], pairwise: frozenset[str]) -> int:
    """More values than the result of an operator of this kind can have, whatever its settings let it allocate.

    Operators whose settings say how much they allocate see to themselves, see `affordable`; every other result has at most a
    value for each combination of values of its operands. `pairwise` are the kinds that combine values at equal places only.
    """
    if kind in BOUNDS:
        return BOUNDS[kind](operands)
    given = list(_tensors(operands.values()))
    if kind in pairwise:
        return math.prod(max(axis) for axis in zip_longest(*(tensor.shape[::-1] for tensor in given), fillvalue=1))
    return math.prod(max(tensor.numel(), 1) for tensor in given)


def _tensors(operands: Iterable[Any]) -> Iterable[Tensor]:
    """Operands that are data; settings are whole numbers or single ones."""
    for operand in operands:
        if isinstance(operand, tuple):
            yield from _tensors(operand)
        elif isinstance(operand, Tensor) and operand.dim() and (operand.is_floating_point() or operand.dim() > 1):
            yield operand


def _convolution(operands: Mapping[str, Any]) -> int:
    x, weight = operands["x"], operands["weight"]
    border = sum(operands["pad"].tolist()) if operands.get("pad") is not None else 0
    return x.shape[0] * weight.shape[0] * math.prod(size + border + 1 for size in x.shape[2:])


def _linear(operands: Mapping[str, Any]) -> int:
    return math.prod(operands["x"].shape[:-1]) * operands["weight"].shape[0]


def _matmul(operands: Mapping[str, Any]) -> int:
    x, y = operands["x"], operands["y"]
    rows, columns = max(x.shape[-2:]), max(y.shape[-2:])
    return rows * columns * math.prod(map(max, zip_longest(x.shape[:-2][::-1], y.shape[:-2][::-1], fillvalue=1)))


def _together(operands: Mapping[str, Any]) -> int:
    return sum(tensor.numel() for tensor in operands["values"])


BOUNDS: Mapping[str, Callable[[Mapping[str, Any]], int]] = {
    "concat": _together, "conv": _convolution, "linear": _linear, "matmul": _matmul, "stack": _together,
}  # fmt: skip
