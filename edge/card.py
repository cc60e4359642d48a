"""The card: what every exported file says about itself, carried inside the file and in `edge.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import BadArtifactError, UsageError
from edge.preprocess import Preprocess
from edge.spec import InputKind, Precision

SCHEMA = "edge.card/1"
KEY = "edge.card"
"""The name under which a file format stores the card's JSON (metadata key, named data, associated file)."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output: its name, shape (batch first), dtype (`float32`, `uint8`, …) and layout (`NCHW`, …)."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    layout: str = ""


@dataclass(frozen=True, slots=True)
class WeightsOrigin:
    """Where the weights came from: a source in words, their licence, and the sha256 of the state dict."""

    source: str
    licence: str = "unknown"
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """Everything needed to run a file correctly and to make it again."""

    model: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    precision: Precision
    input_kind: InputKind
    weights: WeightsOrigin
    preprocess: Preprocess | None = None  # None: the inputs are not one picture
    labels: tuple[str, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict)  # distribution → version

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, so that equal cards are equal bytes."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, sort_keys=True, separators=(",", ":"))

    def file_input(self, pictures: NDArray[np.uint8]) -> NDArray[Any]:
        """Pictures uint8 (N, H, W, 3), already resized, as the file takes them. Raises `UsageError` when it does not."""
        if self.preprocess is None:
            raise UsageError("the file does not take a picture", hint="`edge inspect` shows its inputs")
        if pictures.shape[1:3] != (self.preprocess.height, self.preprocess.width):
            given, own = f"{pictures.shape[1]}x{pictures.shape[2]}", f"{self.preprocess.height}x{self.preprocess.width}"
            raise UsageError(
                f"the file takes {own} pictures, not {given}", hint="compare it with the model at its own size"
            )
        if self.input_kind is InputKind.IMAGE:
            return self.preprocess.picture_input(pictures, self.inputs[0].layout)
        return self.preprocess.normalise(pictures)

    @classmethod
    def from_json(cls, text: str | bytes) -> Card:
        """Read a card back. Raises `BadArtifactError` when the text is not a card of this schema."""
        try:
            fields: dict[str, Any] = json.loads(text)
            if fields.pop("schema") != SCHEMA:
                raise BadArtifactError(f"the card is not of schema {SCHEMA}", hint="export the model again")
            preprocess = fields.pop("preprocess")
            return cls(
                model=str(fields["model"]),
                inputs=tuple(_tensor(spec) for spec in fields["inputs"]),
                outputs=tuple(_tensor(spec) for spec in fields["outputs"]),
                precision=Precision(fields["precision"]),
                input_kind=InputKind(fields["input_kind"]),
                weights=WeightsOrigin(**fields["weights"]),
                preprocess=None if preprocess is None else Preprocess.from_fields(preprocess),
                labels=tuple(str(label) for label in fields["labels"]),
                tools={str(name): str(version) for name, version in fields["tools"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise BadArtifactError(
                f"the card inside the file cannot be read: {error}", hint="export the model again"
            ) from None


def _tensor(fields: Mapping[str, Any]) -> TensorSpec:
    shape = tuple(int(size) for size in fields["shape"])
    return TensorSpec(str(fields["name"]), shape, str(fields["dtype"]), str(fields["layout"]))
