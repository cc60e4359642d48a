"""What a network may cost: a latency, and perhaps parameters and MACs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge.errors import UsageError
from edge.search.trial import Trial

HINT = "write 4.0ms, or 50% of the largest uniform network's latency; several with commas between"


@dataclass(frozen=True, slots=True)
class Limit:
    """A latency as the user typed it: in ms, or as a share 0..1 of the largest uniform network's."""

    text: str
    ms: float | None
    share: float | None


@dataclass(frozen=True, slots=True)
class Budget:
    """A network may take `ms` on the device, and have so many parameters and MACs when deployed; None: as many as it likes.

    `name` is the limit as the user typed it.
    """

    name: str
    ms: float
    params: int | None = None
    macs: int | None = None

    def fits(self, trial: Trial) -> bool:
        """Whether a network keeps within it, by its predicted latency."""
        small = self.params is None or trial.params <= self.params
        return small and trial.predicted_ms <= self.ms and (self.macs is None or trial.macs <= self.macs)


def limits(text: str) -> tuple[Limit, ...]:
    """`4.0ms,3.0ms` or `50%,30%`, each once. Raises `UsageError` for anything else, and for a budget that is given twice."""
    found = tuple(_limit(part.strip()) for part in text.split(","))
    if len({(limit.ms, limit.share) for limit in found}) < len(found):
        raise UsageError(f"a budget stands twice in {text!r}", hint="give each once")
    return found


def _limit(text: str) -> Limit:
    number, unit = (text[:-2], "ms") if text.endswith("ms") else (text[:-1], text[-1:])
    try:
        value = float(number)
    except ValueError:
        raise UsageError(f"{text!r} is no latency", hint=HINT) from None
    if unit == "ms" and 0 < value < math.inf:
        return Limit(text, value, None)
    if unit == "%" and 0 < value <= 100:
        return Limit(text, None, value / 100)
    raise UsageError(f"{text!r} is no latency", hint=HINT)
