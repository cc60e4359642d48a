"""Pictures as Core ML has them, in and out: a declared size and order of colours, values 0..255."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from edge.errors import BadArtifactError, UsageError
from exporters.coreml.package import AGAIN

GRAYSCALE, RGB, BGR, GRAYSCALE_FLOAT16 = 10, 20, 30, 40
"""Colour spaces by number (Core ML's FeatureTypes.proto)."""
MODES = {GRAYSCALE: "L", RGB: "RGB", BGR: "RGB", GRAYSCALE_FLOAT16: "F"}
"""The kind of PIL picture that carries each."""


def planes(kind: int) -> int | None:
    """How many planes a colour space has; None when there is no such colour space."""
    return {"L": 1, "F": 1, "RGB": 3}.get(MODES.get(kind, ""))


def to_tensor(name: str, kind: Any, picture: Any) -> torch.Tensor:
    """(1, C, H, W) in the declared order of colours. Raises `UsageError`: Core ML resizes and converts nothing itself."""
    mode = MODES[kind.colorSpace]
    if not isinstance(picture, Image.Image):
        raise UsageError(
            f"{name} takes a picture, not {type(picture).__name__}", hint=f"give a PIL image of mode {mode}"
        )
    if picture.mode != mode:
        raise UsageError(f"{name} takes pictures of mode {mode}, not {picture.mode}", hint="convert it first")
    if not _has_size(kind, *picture.size):
        raise UsageError(
            f"{name} takes {_sizes(kind)} pictures, not {picture.width}x{picture.height}", hint="resize it first"
        )
    cells = np.asarray(picture, np.float32)
    cells = cells[None] if cells.ndim == 2 else cells.transpose(2, 0, 1)
    return torch.from_numpy(np.array(cells[::-1] if kind.colorSpace == BGR else cells)[None])


def from_tensor(name: str, kind: Any, value: torch.Tensor) -> Image.Image:
    """The picture in (1, C, H, W), rounded and clipped to bytes where its colour space has bytes.

    Apple does not publish how it rounds; the nearest loses least. Raises `BadArtifactError` for a tensor that is no picture.
    """
    if value.dim() != 4 or value.shape[0] != 1 or value.shape[1] != planes(kind.colorSpace) or not value.numel():
        raise BadArtifactError(f"output {name!r} is a picture and its tensor is {tuple(value.shape)}", hint=AGAIN)
    cells = value[0].float().numpy()
    if not _has_size(kind, cells.shape[2], cells.shape[1]):
        raise BadArtifactError(
            f"output {name!r} is declared {_sizes(kind)} and is {cells.shape[2]}x{cells.shape[1]}", hint=AGAIN
        )
    if kind.colorSpace == GRAYSCALE_FLOAT16:
        return Image.fromarray(cells[0])
    levels = np.nan_to_num(cells, nan=0.0).round().clip(0, 255).astype(np.uint8)
    if kind.colorSpace == GRAYSCALE:
        return Image.fromarray(levels[0])
    return Image.fromarray((levels[::-1] if kind.colorSpace == BGR else levels).transpose(1, 2, 0).copy())


def _has_size(kind: Any, width: int, height: int) -> bool:
    flexibility = kind.WhichOneof("SizeFlexibility")
    if flexibility == "enumeratedSizes":
        return (width, height) in [(size.width, size.height) for size in kind.enumeratedSizes.sizes]
    if flexibility == "imageSizeRange":
        limits = kind.imageSizeRange
        return within(limits.widthRange, width) and within(limits.heightRange, height)
    return bool((width, height) == (kind.width, kind.height))


def within(limits: Any, size: int) -> bool:
    """Whether a `SizeRange` has this size; a negative upper bound is none."""
    return bool(limits.lowerBound <= size and (limits.upperBound < 0 or size <= limits.upperBound))


def _sizes(kind: Any) -> str:
    flexibility = kind.WhichOneof("SizeFlexibility")
    if flexibility == "enumeratedSizes":
        return " or ".join(f"{size.width}x{size.height}" for size in kind.enumeratedSizes.sizes) or "no"
    if flexibility == "imageSizeRange":
        return "x".join(span(limits) for limits in (kind.imageSizeRange.widthRange, kind.imageSizeRange.heightRange))
    return f"{kind.width}x{kind.height}"


def span(limits: Any) -> str:
    """A `SizeRange` in words."""
    return f"{limits.lowerBound}..{limits.upperBound if limits.upperBound >= 0 else ''}"
