"""Pictures with one exact map per task, and the promise of a source of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

IGNORE = 255
"""The value of a pixel of segmentation, edges or saliency that counts nowhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One picture uint8 (H, W, 3) and the map of each task that it is annotated for.

    seg: uint8 (H, W), class numbers. depth: float32 (H, W), metres along the viewing axis; NaN where unknown. normals:
    float32 (H, W, 3), unit vectors in camera axes (x right, y down, z away from the camera) that point to the side that is
    seen, so that one that faces the camera is (0, 0, -1); NaN where unknown. edges and saliency: uint8 (H, W), 0 or 1.
    `IGNORE` marks unknown pixels of the others.
    """

    picture: NDArray[np.uint8]
    maps: Mapping[str, NDArray[Any]]


class SceneSource(ABC):
    """Where scenes come from: numbered, the same scene for the same number every time."""

    tasks: tuple[str, ...]
    """Those that every scene has a map of, in the order of `edge.models.m3vit_config.CHANNELS`."""
    classes: tuple[str, ...]
    """Of the segmentation."""
    fingerprint: str
    """Changes when any scene does."""

    @abstractmethod
    def __len__(self) -> int:
        """How many scenes there are."""

    @abstractmethod
    def scene(self, index: int) -> Scene:
        """One scene, at this source's size. Raises `PictureError` for a file that cannot be read."""
