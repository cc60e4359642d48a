"""Runs a program twice in step, exactly and in float16, and sums up what float16 cost at each operator."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from edge.numerics import OperatorNumerics
from exporters.coreml.runtime.interpreter import Arithmetic, Interpreter
from exporters.coreml.runtime.model import ReferenceModel
from exporters.coreml.runtime.ops.table import MOVES
from exporters.coreml.runtime.program import Function, Operation

SMALLEST_NORMAL = 2.0**-14
ORDINARY = 2.0**-11
"""Half a unit in the last of float16's 11 bits (IEEE 754 binary16)."""


@dataclass(slots=True)
class _Sums:
    """What adds up over all inputs for one operator."""

    values: int = 0
    overflowed: int = 0
    subnormal: int = 0
    signal: float = 0.0
    rounding: float = 0.0
    exact: float = 0.0
    error: float = 0.0

    def add(self, computed: Tensor, rounded: Tensor, exact: Tensor) -> None:
        """`computed` is the operator's result before rounding, `exact` its result in a run that never rounds."""
        computed, rounded, exact = computed.double(), rounded.double(), exact.double()
        finite = rounded.isfinite()
        self.values += computed.numel()
        self.overflowed += int((~finite & exact.isfinite()).sum())
        self.subnormal += int(((computed != 0) & (computed.abs() < SMALLEST_NORMAL)).sum())
        self.signal += float(computed[finite].square().sum())
        self.rounding += float((rounded - computed)[finite].square().sum())
        comparable = finite & exact.isfinite()
        self.exact += float(exact[comparable].square().sum())
        self.error += float((rounded - exact)[comparable].square().sum())

    @property
    def bits_lost(self) -> float:
        return _bits(self.rounding, self.signal)

    @property
    def bits_since_input(self) -> float:
        return _bits(self.error, self.exact)


def numerics(model: ReferenceModel, inputs: Iterable[Mapping[str, Any]]) -> list[OperatorNumerics]:
    """Every operator of the model that computes floating-point values, in the file's order, over features by name.

    Operators that only move values, and those inside the blocks of others, are not listed.
    """
    function = model.interpreter.function
    exact = replace(model, interpreter=Interpreter(function, Arithmetic.EXACT))
    half = replace(model, interpreter=Interpreter(function, Arithmetic.FP16))
    sums: dict[int, _Sums] = {}
    for given in inputs:
        for wide, narrow in zip(exact.steps(given), half.steps(given), strict=True):
            for computed, rounded, reference in zip(narrow.computed, narrow.values, wide.values, strict=True):
                if isinstance(computed, Tensor) and computed.is_floating_point():
                    sums.setdefault(narrow.operation.index, _Sums()).add(computed, rounded, reference)
    return _listed(function, sums)


def _listed(function: Function, sums: Mapping[int, _Sums]) -> list[OperatorNumerics]:
    carried: dict[str, float] = {}
    rows = []
    for operation in function.body.operations:
        found = sums.get(operation.index)
        before = max((carried.get(name, 0.0) for name in operation.references()), default=0.0)
        after = before if found is None else found.bits_since_input
        carried.update((value.name, after) for value in operation.outputs)
        if found is not None and operation.type not in MOVES:
            rows.append(_row(operation, found, after - before))
    return rows


def _row(operation: Operation, found: _Sums, added: float) -> OperatorNumerics:
    return OperatorNumerics(
        operation.name, operation.type, operation.index, found.values, found.overflowed, found.subnormal,
        found.bits_lost, max(added, 0.0),
    )  # fmt: skip


def _bits(error: float, signal: float) -> float:
    """Bits of 11 that a relative L2 error costs; all when nothing is left."""
    if error == 0.0:
        return 0.0
    return min(max(math.log2(math.sqrt(error / signal) / ORDINARY), 0.0), 11.0) if signal else 11.0
