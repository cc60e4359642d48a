"""A request for a model, as the user typed it: which network, which weights, which head and input size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """Plain data: nothing is imported or read until `edge.models.sources.resolve` is called.

    `reference` is a name of the catalog, `timm:NAME[.tag]`, `package.module:factory`, `file.py:factory`, or a folder that
    `edge train` or `edge search` wrote. The rest are the user's overrides; None means the model's own.
    """

    reference: str
    weights: Path | None = None
    pretrained: bool = False
    num_classes: int | None = None
    image_size: tuple[int, int] | None = None  # (height, width)
    labels: Path | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    seed: int = 0
