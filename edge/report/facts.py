"""Everything that a report says, as plain values: what is gathered on one side and drawn on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.card import WeightsOrigin
from edge.errors import EdgeError, ToolchainMissingError
from edge.evaluate import Accuracy
from edge.measurement import Measurement, Source
from edge.spec import Precision
from edge.verify import FAILED

POINTS = 0.3
"""A file may be this many percentage points from PyTorch's accuracy: one picture of the 360 digits held out is 0.28."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The network: its sizes are None where it could not be rebuilt, its accuracy where there are no labelled pictures.

    `macs` are multiply-accumulates of the deployed form, batch 1; `input_shape` is batch first.
    """

    name: str
    weights: WeightsOrigin
    input_shape: tuple[int, ...]
    params: int | None = None
    params_deploy: int | None = None
    macs: int | None = None
    accuracy: Accuracy | None = None
    unknown: str = ""  # why it could not be built again; empty when it was


@dataclass(frozen=True, slots=True)
class Latency:
    """A measurement summed up: the median and its 95 % interval in ms, and where they came from."""

    median_ms: float
    low_ms: float
    high_ms: float
    device: str
    source: Source
    threads: int
    runs: int
    steadiness: str

    @classmethod
    def of(cls, measured: Measurement) -> Latency:
        low, high = measured.ci95_ms
        return cls(
            measured.median_ms,
            low,
            high,
            measured.device,
            measured.source,
            measured.threads,
            len(measured.samples_ms),
            measured.verdict,
        )


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One exported file: what was recorded when it was verified, and what it did here."""

    target: str
    name: str
    bytes: int
    sha256: str
    precision: Precision
    verdict: str
    reason: str
    executed_by: str
    inputs: int | None = None
    relative_error: float | None = None
    allowed_error: float | None = None
    accuracy: Accuracy | None = None
    latency: Latency | None = None
    silent: str = ""  # why it was not executed here; empty when it was
    tools: Mapping[str, str] = field(default_factory=dict)

    @property
    def called(self) -> str:
        """The target, with the precision where it is not the usual one."""
        return self.target if self.precision == Precision.FP32 else f"{self.target} {self.precision}"

    def agrees_with(self, model: Accuracy) -> bool:
        """Whether the file is as accurate as the model, or was never asked."""
        return self.accuracy is None or self.accuracy.points_from(model) <= POINTS


@dataclass(frozen=True, slots=True)
class Missing:
    """A target without a file: whether its toolchain is `missing` or it `failed`, why, and what would work."""

    target: str
    verdict: str
    reason: str
    hint: str = ""

    @classmethod
    def because(cls, target: str, error: EdgeError) -> Missing:
        """A conversion's hint is a log of this machine, which says nothing to a reader elsewhere."""
        if isinstance(error, ToolchainMissingError):
            return cls(target, "missing", str(error), error.hint)
        return cls(target, FAILED, str(error))


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of a training's `metrics.jsonl`."""

    number: int
    train_loss: float
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one file, or PyTorch, says of one picture; `right` is None when nobody knows."""

    by: str
    label: str
    score: float
    right: bool | None


@dataclass(frozen=True, slots=True)
class Example:
    """A picture uint8 (H, W, 3), what it shows where that is known, and every answer to it."""

    picture: NDArray[np.uint8]
    truth: str | None
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """One page. `pictures` says in words what the pictures are."""

    model: ModelFacts
    files: tuple[FileFacts, ...]
    missing: tuple[Missing, ...] = ()
    epochs: tuple[Epoch, ...] = ()
    examples: tuple[Example, ...] = ()
    pictures: str = ""

    @property
    def faithful(self) -> bool:
        """Whether no file failed its verification, and each is as accurate as the PyTorch model."""
        accurate = self.model.accuracy is None or all(file.agrees_with(self.model.accuracy) for file in self.files)
        return accurate and all(file.verdict != FAILED for file in self.files)
