"""A file against its model: the error, the agreement, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.tolerances import Tolerance

OK = "ok"
FAILED = "failed"
NOT_EXECUTED = "not executed"

Outputs = Sequence[NDArray[Any]]
SILENT_STD = 1e-6
"""Reference outputs that vary less than this over the inputs compare nothing."""
SMALLEST = 1e-300


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far outputs are apart, over all inputs; the worst output of several.

    `relative_error` is max |file - model| over the standard deviation of the model's output. `sqnr_db` is the ratio of
    signal to error power; `sqnr_centred_db` takes the mean of each out first, so that a constant offset neither helps
    nor hides. `top1_agreement` is the share of inputs, or of the pixels of their maps, with the same largest class, ties
    within float32's error counted equal; None where no output has classes. `worst_input` is the index of the input with
    the largest error.
    """

    inputs: int
    relative_error: float
    sqnr_db: float
    sqnr_centred_db: float
    top1_agreement: float | None
    spread: float
    worst_input: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison means: `ok`, `failed` or `not executed`, with the reason and the bounds it was held to."""

    verdict: str
    reason: str
    executed_by: str
    comparison: Comparison | None = None
    tolerance: Tolerance | None = None

    def fields(self) -> dict[str, Any]:
        """The JSON fields of the command-line contract."""
        measured = (
            asdict(self.comparison) if self.comparison is not None else dict.fromkeys(Comparison.__dataclass_fields__)
        )
        finite = {name: _json_number(value) for name, value in measured.items()}
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "executed_by": self.executed_by,
            **finite,
            "tolerance": asdict(self.tolerance) if self.tolerance is not None else None,
        }


def compare(model: Outputs, file: Outputs) -> Comparison:
    """Compare outputs of shape (N, ...) each. Raises `ValueError` when their number or shapes differ."""
    if len(model) != len(file):
        raise ValueError(f"the file has {len(file)} outputs, the model {len(model)}")
    for index, (expected, found) in enumerate(zip(model, file, strict=True)):
        if expected.shape != found.shape:
            raise ValueError(f"output {index} has shape {found.shape}, the model's has {expected.shape}")
    each = [
        _compare_one(expected.astype(np.float64), found.astype(np.float64))
        for expected, found in zip(model, file, strict=True)
    ]
    return Comparison(
        inputs=len(model[0]),
        relative_error=max(one.relative_error for one in each),
        sqnr_db=min(one.sqnr_db for one in each),
        sqnr_centred_db=min(one.sqnr_centred_db for one in each),
        top1_agreement=min((one.top1_agreement for one in each if one.top1_agreement is not None), default=None),
        spread=min(one.spread for one in each),
        worst_input=max(each, key=lambda one: one.relative_error).worst_input,
    )


def judge(comparison: Comparison, tolerance: Tolerance, executed_by: str) -> Verdict:
    """Hold a comparison to its bounds; the reason names every bound that broke."""
    broken = [
        text
        for within, text in (
            (comparison.spread > SILENT_STD, "the model's output hardly depends on its input, so nothing is proven"),
            (
                comparison.relative_error <= tolerance.relative_error,
                f"relative error {comparison.relative_error:.2g} > {tolerance.relative_error:g}",
            ),
            (comparison.sqnr_db >= tolerance.sqnr_db, f"SQNR {comparison.sqnr_db:.1f} dB < {tolerance.sqnr_db:g} dB"),
            (
                comparison.top1_agreement is None or comparison.top1_agreement >= tolerance.top1_agreement,
                f"top-1 agreement {comparison.top1_agreement or 0:.1%} < {tolerance.top1_agreement:.1%}",
            ),
        )
        if not within
    ]
    return Verdict(FAILED if broken else OK, "; ".join(broken) or tolerance.reason, executed_by, comparison, tolerance)


def _compare_one(model: NDArray[np.float64], file: NDArray[np.float64]) -> Comparison:
    error = np.abs(file - model)
    worst = float(error.max()) if np.isfinite(file).all() else math.inf
    spread = float(model.std())
    movement = float(model.std(axis=0).max())  # what stays when the part that is the same for every input is taken out
    centred_model, centred_file = model - model.mean(axis=0), file - file.mean(axis=0)
    return Comparison(
        inputs=len(model),
        relative_error=worst / max(spread, SMALLEST),
        sqnr_db=_decibels(model, file - model, worst),
        sqnr_centred_db=_decibels(centred_model, centred_file - centred_model, worst),
        top1_agreement=_agreement(_scores(model), _scores(file), worst),
        spread=movement,
        worst_input=int(np.nan_to_num(error.reshape(len(model), -1).max(axis=1), nan=np.inf, posinf=np.inf).argmax()),
    )


def _decibels(signal: NDArray[np.float64], noise: NDArray[np.float64], worst: float) -> float:
    if not math.isfinite(worst):
        return -math.inf
    noise_power = float(np.square(noise).sum())
    return 10 * math.log10(max(float(np.square(signal).sum()), SMALLEST) / noise_power) if noise_power else math.inf


def _scores(output: NDArray[np.float64]) -> NDArray[np.float64]:
    """One row of class scores per input (N, C), or per pixel of a map (N, C, H, W); of another shape, all of it."""
    last = np.moveaxis(output, 1, -1) if output.ndim == 4 else output.reshape(len(output), 1, -1)
    return last.reshape(-1, last.shape[-1])


def _agreement(model: NDArray[np.float64], file: NDArray[np.float64], worst: float) -> float | None:
    """A file agrees when the class it picks is the model's, or lies closer to it in the model than float32 can tell apart."""
    if model.shape[1] < 2:
        return None
    if not math.isfinite(worst):
        return 0.0
    picked = np.take_along_axis(model, file.argmax(axis=1)[:, None], axis=1)[:, 0]
    tie = np.abs(model).max() * np.finfo(np.float32).eps * 8
    return float(np.mean(model.max(axis=1) - picked <= tie))


def _json_number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
