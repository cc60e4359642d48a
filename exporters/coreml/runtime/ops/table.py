"""What an operator is to the runtime: a small function of its parameters, and its place in the table of its family."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

Value = Any
"""A tensor; or a text, a tuple, a list of tensors, a dictionary or a state where the operator is about those."""


@dataclass(frozen=True)
class Operator:
    """A function that takes an operator's parameters by their published names and returns its value, or a tuple of them.

    Floating point arrives and leaves as float32, integers as they are held (see `datatypes`); what leaves is converted to
    the declared width by the interpreter. Parameters that are settings arrive as tensors too: see `integers` and `flag`.
    A parameter `opset` receives the iOS release (15 to 18) where the meaning changed with it, and `declared` the data type
    that the file declares for the (first) result, where the operands do not decide it.
    """

    name: str
    compute: Callable[..., Value]

    @cached_property
    def _parameters(self) -> dict[str, inspect.Parameter]:
        return dict(inspect.signature(self.compute).parameters)

    @cached_property
    def wants_opset(self) -> bool:
        return "opset" in self._parameters

    @cached_property
    def wants_declared(self) -> bool:
        return "declared" in self._parameters

    def unknown(self, given: Iterable[str]) -> list[str]:
        """Of the names given, those that are no parameter."""
        return [name for name in given if name not in self._parameters]

    def absent(self, given: Iterable[str]) -> list[str]:
        """Parameters that have no default and are not given."""
        given = set(given)
        return [
            name
            for name, parameter in self._parameters.items()
            if parameter.default is parameter.empty and name not in given
        ]


Table = dict[str, Operator]
Family = Callable[..., Callable[[Callable[..., Value]], Callable[..., Value]]]


MOVES = frozenset({
    "batch_to_space", "concat", "depth_to_space", "expand_dims", "flatten2d", "gather", "gather_along_axis", "gather_nd",
    "identity", "pixel_shuffle", "pixel_unshuffle", "reshape", "reshape_like", "reverse", "reverse_sequence", "select",
    "slice_by_index", "slice_by_size", "sliding_windows", "space_to_batch", "space_to_depth", "split", "squeeze", "stack",
    "tile", "transpose",
})  # fmt: skip
"""Operators that only move values: what they give needs no rounding that their operands did not have already."""


def family(table: Table) -> Family:
    """A decorator that enters functions in `table`, under each of the names given."""

    def operator(*names: str) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
        def enter(compute: Callable[..., Value]) -> Callable[..., Value]:
            table.update({name: Operator(name, compute) for name in names})
            return compute

        return enter

    return operator


def integers(value: torch.Tensor) -> list[int]:
    """A vector setting, such as axes or a shape, as Python integers; a scalar is a vector of one."""
    numbers = value.reshape(-1).tolist()
    return [int(number) for number in numbers]


def integer(value: torch.Tensor) -> int:
    """A scalar setting as a Python integer."""
    return int(value.item())


def number(value: torch.Tensor) -> float:
    """A scalar setting as a Python float."""
    return float(value.item())


def flag(value: torch.Tensor | bool) -> bool:
    """A scalar setting that is true or false; a default arrives as Python's own."""
    return bool(value)
