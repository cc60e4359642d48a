"""Cases of coremltools' own tests that this runtime does not pass, and why; every other case must pass."""

from __future__ import annotations

import re

REASONS: dict[str, str] = {}
"""By a regular expression that finds the case's name."""

COMPILED = tuple((re.compile(pattern), reason) for pattern, reason in REASONS.items())


def reason(case: str) -> str:
    """Why this case may fail; empty when it may not."""
    return next((reason for pattern, reason in COMPILED if pattern.search(case)), "")
