"""Between what a caller gives and gets (arrays, pictures, a label) and the tensors of a program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from edge.errors import UsageError

GRAYSCALE, RGB, BGR, GRAYSCALE_FLOAT16 = 10, 20, 30, 40
"""Colour spaces by number (Core ML's FeatureTypes.proto)."""
MODES = {GRAYSCALE: "L", RGB: "RGB", BGR: "RGB", GRAYSCALE_FLOAT16: "F"}
ARRAYS = {65568: np.float32, 65600: np.float64, 65552: np.float16, 131104: np.int32, 131080: np.int8}
"""Array types by number (Core ML's FeatureTypes.proto)."""


class State:
    """A tensor that lives from one prediction to the next."""

    def __init__(self, value: torch.Tensor) -> None:
        self.value = value


def inputs(description: Any, given: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Tensors by name. Raises `UsageError` when a feature is missing, unknown or of another size."""
    wanted = {feature.name: feature.type for feature in description.input}
    if wrong := sorted(given.keys() ^ wanted.keys()):
        raise UsageError(f"inputs {', '.join(wrong)}: missing or unknown", hint=f"it takes {', '.join(wanted)}")
    return {name: _tensor(name, kind, given[name]) for name, kind in wanted.items()}


def results(description: Any, found: Mapping[str, Any]) -> dict[str, Any]:
    """What the caller gets, by name: arrays of the declared type, pictures, or a label and its dictionary."""
    return {feature.name: _result(feature.type, found[feature.name]) for feature in description.output}


def states(description: Any) -> dict[str, State]:
    """All zeros, as Core ML makes them."""
    return {
        feature.name: State(torch.zeros(list(feature.type.stateType.arrayType.shape))) for feature in description.state
    }


def _tensor(name: str, kind: Any, value: Any) -> torch.Tensor:
    if kind.WhichOneof("Type") == "imageType":
        return _picture(name, kind.imageType, value)
    array = np.asarray(value)
    if array.dtype.kind == "f":
        return torch.from_numpy(np.ascontiguousarray(array, np.float32))
    return torch.from_numpy(np.ascontiguousarray(array.astype(np.int32)))


def _picture(name: str, kind: Any, value: Any) -> torch.Tensor:
    """(1, C, H, W) of 0..255 in the declared order of colours; Core ML itself resizes nothing."""
    if not isinstance(value, Image.Image):
        raise UsageError(f"{name} takes a picture, not {type(value).__name__}", hint="give a PIL image")
    if value.size != (kind.width, kind.height):
        raise UsageError(
            f"{name} takes {kind.width}x{kind.height} pictures, not {value.width}x{value.height}", hint="resize it first"
        )
    cells = np.asarray(value.convert(MODES[kind.colorSpace]), np.float32)
    planes = cells[None] if cells.ndim == 2 else cells.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(planes[::-1] if kind.colorSpace == BGR else planes)[None])


def _result(kind: Any, value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    if kind.WhichOneof("Type") == "imageType":
        planes = value[0].numpy()
        planes = planes[::-1] if kind.imageType.colorSpace == BGR else planes
        if kind.imageType.colorSpace == GRAYSCALE_FLOAT16:
            return Image.fromarray(planes[0], "F")
        cells = planes.clip(0, 255).astype(np.uint8)
        return Image.fromarray(cells[0], "L") if len(cells) == 1 else Image.fromarray(cells.transpose(1, 2, 0), "RGB")
    return value.numpy().astype(ARRAYS.get(kind.multiArrayType.dataType, np.float32))
