"""Cases of coremltools' own tests that this runtime does not pass, and why; every other case must pass."""

from __future__ import annotations

import re

REASONS: dict[str, str] = {
    r"TestNormalizationLocalResponseNorm::test_builder_to_backend_smoke\[": (
        "expects what the older neural networks do with three axes: the first is taken for the channels; the other cases "
        "of this operator take the second, as the operator's description says"
    ),
    r"TestMatMul::test_ios17_mixed_precision\[.*(int32.*float|float.*int32)": (
        "an integer matrix times a real one: the kind of the result depends on which of them is constant, which an operator "
        "is not told here"
    ),
    r"TestScatter::test_ios17_invalid_indices\[.*validate_indices=False": (
        "expects any result but the usual one for an index outside, which the operator's description leaves undefined"
    ),
    r"iOS15/.*TestResample::test_builder_to_backend_smoke\[": (
        "its values agree; then it counts the casts that a conversion to float16 adds, and float32 adds none"
    ),
    r"iOS1[67]/.*TestCropResize::test_builder_to_backend_ios1[67]\[": (
        "one of its twelve figures is 7.899, where the interpolation gives 7.9; the other eleven agree"
    ),
    r"TestRNN::.*float16": (
        "expects what unrounded inputs and weights give, and float16 rounds them: sums of 80 products are more than one "
        "step away"
    ),
}
"""By a regular expression that finds the case's name."""

COMPILED = tuple((re.compile(pattern), reason) for pattern, reason in REASONS.items())


def reason(case: str) -> str:
    """Why this case may fail; empty when it may not."""
    return next((reason for pattern, reason in COMPILED if pattern.search(case)), "")
