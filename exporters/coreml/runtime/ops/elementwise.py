"""Arithmetic, comparison and logic, element by element with broadcasting."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from exporters.coreml.runtime.ops.table import Table, family

TABLE: Table = {}
operator = family(TABLE)

UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs, "acos": torch.acos, "asin": torch.asin, "atan": torch.atan, "atanh": torch.atanh,
    "ceil": torch.ceil, "cos": torch.cos, "cosh": torch.cosh, "erf": torch.erf, "exp": torch.exp, "floor": torch.floor,
    "logical_not": torch.logical_not, "round": torch.round, "sign": torch.sign, "sin": torch.sin, "sinh": torch.sinh,
    "sqrt": torch.sqrt, "square": torch.square, "tan": torch.tan, "tanh": torch.tanh,
}  # fmt: skip
"""`round` takes halves to the even neighbour."""

BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "maximum": torch.maximum, "minimum": torch.minimum,
    "floor_div": torch.floor_divide, "mod": torch.remainder, "pow": torch.pow, "equal": torch.eq, "not_equal": torch.ne,
    "greater": torch.gt, "greater_equal": torch.ge, "less": torch.lt, "less_equal": torch.le,
    "logical_and": torch.logical_and, "logical_or": torch.logical_or, "logical_xor": torch.logical_xor,
}  # fmt: skip
"""`floor_div` rounds towards minus infinity, and `mod` has the sign of the divisor."""


def _unary(compute: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def apply(x: Tensor) -> Tensor:
        return compute(x)

    return apply


def _binary(compute: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    def apply(x: Tensor, y: Tensor) -> Tensor:
        return compute(x, y)

    return apply


for _name, _one in UNARY.items():
    operator(_name)(_unary(_one))
for _name, _two in BINARY.items():
    operator(_name)(_binary(_two))


@operator("real_div")
def real_div(x: Tensor, y: Tensor) -> Tensor:
    """Integers divide as integers, towards minus infinity (a choice: no document says what negative ones do)."""
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="floor")


@operator("exp2")
def exp2(x: Tensor) -> Tensor:
    return torch.exp2(x).to(x.dtype)


@operator("log")
def log(x: Tensor, epsilon: Tensor = torch.tensor(1e-45)) -> Tensor:
    return torch.log(x + epsilon)


@operator("inverse")
def inverse(x: Tensor, epsilon: Tensor = torch.tensor(1e-4)) -> Tensor:
    """1 / (x + epsilon): the default is large enough to be seen."""
    return torch.reciprocal(x + epsilon)


@operator("rsqrt")
def rsqrt(x: Tensor, epsilon: Tensor = torch.tensor(1e-12)) -> Tensor:
    return torch.rsqrt(x + epsilon)


@operator("clip")
def clip(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return x.clamp(alpha.item(), beta.item())


@operator("threshold")
def threshold(x: Tensor, alpha: Tensor) -> Tensor:
    """A floor; `thresholded_relu` gives 0 below instead."""
    return x.clamp_min(alpha.item())
