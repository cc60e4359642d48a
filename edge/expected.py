"""What the PyTorch model answers on the probe inputs: the measure of every file made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge import probe
from edge.models.sources import Model


@dataclass(frozen=True, slots=True)
class Expected:
    """Probe inputs, as pictures uint8 (N, H, W, 3) or as one array per input, and the outputs (N, ...) of the model."""

    outputs: tuple[NDArray[Any], ...]
    pictures: NDArray[np.uint8] | None = None
    tensors: tuple[NDArray[Any], ...] = ()

    @property
    def count(self) -> int:
        return len(self.outputs[0])

    def save(self, path: Path) -> None:
        """Write the probe inputs as `edge.tasks.answer` reads them."""
        if self.pictures is not None:
            np.savez(path, pictures=self.pictures)
        else:
            np.savez(path, *self.tensors)


def expected(model: Model, images: Path | None = None) -> Expected:
    """Run the training form of `model`, one input at a time, on pictures from `images` or on the built-in ones."""
    if model.preprocess is None:
        tensors = probe.tensors(model.inputs)
        return Expected(_run(model, [torch.from_numpy(column) for column in tensors]), tensors=tuple(tensors))
    pictures = probe.pictures(model.preprocess, images)
    normalised = torch.from_numpy(model.preprocess.normalise(pictures))
    return Expected(_run(model, [normalised]), pictures=pictures)


def _run(model: Model, columns: list[Tensor]) -> tuple[NDArray[Any], ...]:
    with torch.no_grad():
        rows = [flatten(model.module(*(column[row : row + 1] for column in columns))) for row in range(len(columns[0]))]
    return tuple(torch.cat(column).float().numpy() for column in zip(*rows, strict=True))


def flatten(outputs: Any) -> tuple[Tensor, ...]:
    """A module's outputs in order, whatever holds them: one tensor, a sequence, or a mapping."""
    if isinstance(outputs, Tensor):
        return (outputs,)
    parts = outputs.values() if isinstance(outputs, dict) else outputs
    return tuple(tensor for part in parts for tensor in flatten(part))
