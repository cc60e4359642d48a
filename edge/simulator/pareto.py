"""Pareto front: the points that no other point beats in one objective without losing in another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def front(objectives: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The indices of the points on the front, of rows of objectives, less of each being better; the first of equals.

    Sorted by the first objective, then the second, and so on.
    """
    order = sorted(range(len(objectives)), key=lambda index: (tuple(objectives[index]), index))
    found: list[int] = []
    values = np.empty((len(objectives), len(objectives[0]) if objectives else 0), dtype=np.int64)
    for index in order:  # whatever beats a point comes before it
        point: NDArray[np.int64] = np.array(objectives[index], dtype=np.int64)
        if not np.any(np.all(values[: len(found)] <= point, axis=1)):
            values[len(found)] = point
            found.append(index)
    return tuple(found)
