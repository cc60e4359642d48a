"""Arithmetic, comparison and logic, element by element with broadcasting."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.coreml.runtime.ops.table import Table, family

TABLE: Table = {}
operator = family(TABLE)


@operator("add")
def add(x: Tensor, y: Tensor) -> Tensor:
    return x + y


@operator("sub")
def sub(x: Tensor, y: Tensor) -> Tensor:
    return x - y


@operator("mul")
def mul(x: Tensor, y: Tensor) -> Tensor:
    return x * y


@operator("real_div")
def real_div(x: Tensor, y: Tensor) -> Tensor:
    """Integers divide as integers, towards minus infinity."""
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="floor")


@operator("sqrt")
def sqrt(x: Tensor) -> Tensor:
    return torch.sqrt(x)


@operator("square")
def square(x: Tensor) -> Tensor:
    return x * x
