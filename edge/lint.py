"""A hint about a file: what in it may keep an accelerator from running it, and who says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Hint:
    """What one rule found. A hint is what others observed, never a promise: only the device itself decides."""

    rule: str
    text: str
    source: str
    operators: tuple[str, ...]
    """Names of the operators that it is about, in the file's order."""

    def fields(self) -> dict[str, Any]:
        """The JSON fields."""
        return {**asdict(self), "operators": list(self.operators), "count": len(self.operators)}


def shortened(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
