"""What float16 does to a network, operator by operator: overflow, values too small for it, and bits lost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

LOST_BITS = 1.0
"""Float16 keeps 11 bits; its ordinary rounding of well-scaled values costs none of them, so one is worth a word."""
CANCELLED_BITS = 6.0
"""Errors grow by about a bit at a step, by 4.4 where a clean EfficientFormer takes a pool of x from x; beyond half of the
bits an operator loses more than it keeps."""


@dataclass(frozen=True, slots=True)
class OperatorNumerics:
    """One operator's results in float16 beside exact arithmetic, over all inputs.

    `overflowed` counts values that became infinite (or NaN, of infinite ones), `subnormal` those below float16's smallest
    normal number 2^-14, zeros that were none included. `bits_lost` is what rounding this operator's own results costs
    beyond float16's ordinary half unit: log2 of (relative L2 error / 2^-11), at least 0. `bits_added` is how much more of the
    error since the network's input its results carry than its operands do.
    """

    name: str
    type: str
    index: int
    values: int
    overflowed: int
    subnormal: int
    bits_lost: float
    bits_added: float

    def why(self, lost_bits: float = LOST_BITS) -> tuple[str, ...]:
        """What is wrong with the operator in float16, in words; empty when nothing is."""
        return tuple(
            text
            for holds, text in (
                (self.overflowed > 0, f"{self.overflowed} of {self.values} values overflow"),
                (
                    self.bits_lost > lost_bits,
                    f"{self.subnormal} of {self.values} values are too small: {self.bits_lost:.1f} bits lost",
                ),
                (self.bits_added > CANCELLED_BITS, f"takes like from like: {self.bits_added:.1f} bits lost"),
            )
            if holds
        )

    def fields(self, lost_bits: float = LOST_BITS) -> dict[str, Any]:
        """The JSON fields."""
        return {**asdict(self), "why": list(self.why(lost_bits))}
