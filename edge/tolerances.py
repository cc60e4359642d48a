"""How far a file's outputs may lie from its model's, by precision, and why."""

from __future__ import annotations

from dataclasses import dataclass

from edge.spec import Precision


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The bounds of a verdict: `relative_error` at most, `sqnr_db` (raw) and `top1_agreement` at least."""

    relative_error: float
    sqnr_db: float
    top1_agreement: float
    reason: str


TOLERANCES = {
    Precision.FP32: Tolerance(
        relative_error=1e-4,
        sqnr_db=80.0,
        top1_agreement=1.0,
        reason="sums in another order differ by 1e-6 to 5e-5 of the spread; a wrong operator differs by far more",
    ),
    Precision.FP16: Tolerance(
        relative_error=5e-2,
        sqnr_db=40.0,
        top1_agreement=0.95,
        reason="rounding weights and activations to 11 bits costs 1e-3 to 3e-2 of the spread",
    ),
}
