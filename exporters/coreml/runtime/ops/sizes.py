"""The refusal of absurd results, for operators whose settings alone say how much they allocate."""

from __future__ import annotations

import math
from collections.abc import Iterable

from edge.errors import BadArtifactError
from exporters.coreml.runtime.constants import LARGEST_TENSOR_BYTES

WIDEST_BYTES = 8
"""What an index or an unconverted integer takes."""


def affordable(shape: Iterable[int]) -> list[int]:
    """`shape` again. Raises `BadArtifactError` when no network has a tensor of that size."""
    sizes = list(shape)
    if min(sizes, default=0) < 0 or math.prod(sizes) * WIDEST_BYTES > LARGEST_TENSOR_BYTES:
        raise BadArtifactError(f"a tensor of shape {tuple(sizes)} is asked for", hint="do not trust this file")
    return sizes
