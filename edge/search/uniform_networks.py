"""A family scaled by hand."""

from __future__ import annotations

from edge.space import SearchSpace
from edge.spec import ModelSpec

SHARES = 1000
"""No space has two networks closer together: two lists of up to 18 values change at least 1/544 of the way apart."""


def uniform_networks(space: SearchSpace) -> tuple[ModelSpec, ...]:
    """Every network of uniform widths and depths, from the smallest."""
    return tuple(dict.fromkeys(space.uniform(step / SHARES) for step in range(SHARES + 1)))
