"""The values that say what is wanted of an export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Precision(StrEnum):
    """The number format of weights and arithmetic inside a file; its inputs and outputs stay float32 (or uint8)."""

    FP32 = "fp32"
    FP16 = "fp16"


class InputKind(StrEnum):
    """What a file takes: a normalised float tensor, or the picture itself with normalisation inside the graph."""

    FLOAT = "float"
    IMAGE = "image"


class PictureLayout(StrEnum):
    """How a target wants a picture handed in when the input is an image."""

    BYTES_NHWC = "NHWC"  # uint8 (B, H, W, 3), 0..255
    PLANES_NCHW = "NCHW"  # float32 (B, 3, H, W), 0..255: Core ML fills it from a picture


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to export: the exporter, the precision, the kind of input, and the oldest system the file must run on."""

    exporter: str
    precision: Precision = Precision.FP32
    input_kind: InputKind = InputKind.FLOAT
    coreml_target: str = "iOS17"

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> Recipe:
        """The inverse of `asdict`, from JSON."""
        return cls(
            exporter=fields["exporter"],
            precision=Precision(fields["precision"]),
            input_kind=InputKind(fields["input_kind"]),
            coreml_target=fields["coreml_target"],
        )


Choice = int | str
"""What a point of a search space may choose."""


@dataclass(frozen=True)
class ModelSpec:
    """One point of a search space, as plain data: the space's name, and a value for each of its choices."""

    space: str
    choices: Mapping[str, Choice]

    def __hash__(self) -> int:
        return hash((self.space, *sorted(self.choices.items(), key=lambda item: item[0])))

    def fields(self) -> dict[str, object]:
        """As JSON data."""
        return {"space": self.space, "choices": dict(sorted(self.choices.items()))}
