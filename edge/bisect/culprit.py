"""What a bisection finds, and the measure it goes by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.parts import Operator

NARROWEST = 1e-2
"""Of its largest magnitude: a value that varies less is measured by this, for float32 cannot hold it to the bound."""


@dataclass(frozen=True, slots=True)
class Culprit:
    """The operator at fault: its place among the file's operators from 0, and how far its output lies off.

    `error` is the largest difference over the standard deviation of what should be there, over all inputs; infinite for
    another shape, and for values that are finite on one side only; None where nothing says what should be there.
    """

    name: str
    type: str
    index: int
    error: float | None

    def fields(self) -> dict[str, Any]:
        """The JSON fields of the command-line contract; JSON has no infinity."""
        finite = self.error is not None and math.isfinite(self.error)
        return {**asdict(self), "error": self.error if finite else None}


def culprit(operators: Sequence[Operator], index: int, error: float | None) -> Culprit:
    """The operator at `index` as the one at fault."""
    return Culprit(operators[index].name, operators[index].type, index, error)


def arrays(values: Sequence[Any]) -> list[NDArray[Any]] | None:
    """One value for several inputs as arrays; None for a label, a dictionary, or a list."""
    if not all(hasattr(value, "__array__") for value in values):
        return None
    return [np.asarray(value) for value in values]


def deviation(wanted: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> float:
    """How far one value lies from what it should be, over several inputs; see `Culprit`."""
    if [each.shape for each in wanted] != [each.shape for each in found]:
        return math.inf
    should, given = _flat(wanted), _flat(found)
    finite = np.isfinite(should)
    if not np.array_equal(should[~finite], given[~finite], equal_nan=True) or not np.isfinite(given[finite]).all():
        return math.inf
    should, given = should[finite], given[finite]
    worst = float(np.abs(given - should).max(initial=0.0))
    if worst == 0:
        return 0.0
    spread = max(float(should.std()), NARROWEST * float(np.abs(should).max()))
    return worst / spread if spread else math.inf


def _flat(values: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    return np.concatenate([each.reshape(-1).astype(np.float64) for each in values])
