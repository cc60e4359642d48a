"""The time of each operator of a file, in one form for every runtime."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """The median of one operator's time in ms over the runs; `delegate` names who ran it, empty for the runtime itself.

    An operator that a delegate runs as one piece with others appears as that piece, unless the delegate tells more.
    """

    name: str
    type: str
    ms: float
    delegate: str = ""

    def fields(self) -> dict[str, Any]:
        """The JSON fields of the command-line contract."""
        return {"name": self.name, "type": self.type, "ms": self.ms, "delegate": self.delegate}


def outside_delegates(times: Iterable[OperatorTime]) -> float:
    """The share of the time of all operators that no delegate spends, 0 to 1; 0 where there are none."""
    all_of_them = list(times)
    total = sum(each.ms for each in all_of_them)
    return sum(each.ms for each in all_of_them if not each.delegate) / total if total else 0.0


def by_type(times: Iterable[OperatorTime]) -> dict[str, tuple[float, float]]:
    """The ms of each type of operator inside delegates and outside, the dearest type first."""
    sums: dict[str, list[float]] = {}
    for each in times:
        sums.setdefault(each.type, [0.0, 0.0])[0 if each.delegate else 1] += each.ms
    ordered = sorted(sums.items(), key=lambda item: -sum(item[1]))
    return {kind: (inside, outside) for kind, (inside, outside) in ordered}
