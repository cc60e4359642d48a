"""TFLite Metadata, the way Task Library reads it: normalisation and labels described in a flatbuffer of their own.

Field numbers and constants are those of the public metadata_schema.fbs 1.1.0 of tflite-support (identifier M001). The
label file itself stands behind the model as a zip archive, stored and not compressed, so that it can be memory-mapped.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.card import Card, TensorSpec
from edge.preprocess import Preprocess
from edge.spec import InputKind

KEY = "TFLITE_METADATA"
LABELS_FILE = "labels.txt"

_IDENTIFIER = b"M001"
_MIN_PARSER_VERSION = "1.0.0"  # nothing newer than the first schema is used
_TENSOR_AXIS_LABELS = 2  # AssociatedFileType
_RGB = 1  # ColorSpaceType
_FEATURE, _IMAGE = 1, 2  # union ContentProperties: FeatureProperties, ImageProperties
_NORMALIZATION = 1  # union ProcessUnitOptions: NormalizationOptions
_DIMENSIONS = {"N": "batch", "C": "channel", "H": "height", "W": "width"}
_FIRST_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # a real date would make every export another file

Fields = Mapping[int, Any]
"""A table as plain data: field number → str, byte, list of floats, strings or tables, or table."""


def metadata(card: Card) -> bytes:
    """The metadata flatbuffer of a model with this card."""
    import flatbuffers

    inputs = [_input(card, spec) for spec in card.inputs]
    outputs = [_output(card, spec) for spec in card.outputs]
    model = {0: card.model, 3: [{2: inputs, 3: outputs}], 5: card.weights.licence, 7: _MIN_PARSER_VERSION}
    builder = flatbuffers.Builder(1024)
    builder.Finish(_table(builder, model), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def append_labels(path: Path, labels: tuple[str, ...]) -> None:
    """Append a zip with `labels.txt`, one label a line, to a model file; its reader ignores what follows the model."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as bundle:
        bundle.writestr(_zip_entry(LABELS_FILE), "".join(f"{label}\n" for label in labels))


def _zip_entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _FIRST_ZIP_DATE)
    entry.create_system = 3  # the same bytes on every system
    entry.external_attr = 0o644 << 16
    return entry


def _input(card: Card, spec: TensorSpec) -> Fields:
    described = {0: spec.name, 2: _dimension_names(spec)}
    if card.preprocess is None:
        return {**described, 3: {0: _FEATURE, 1: {}}}
    mean, std, low, high = _range(card.preprocess, card.input_kind)
    return {
        **described,
        3: {0: _IMAGE, 1: {0: _RGB}},
        4: [{0: _NORMALIZATION, 1: {0: mean, 1: std}}],
        5: {0: high, 1: low},
    }


def _range(preprocess: Preprocess, kind: InputKind) -> tuple[list[float], list[float], list[float], list[float]]:
    """Mean, std, smallest and largest value per channel. Task Library computes (x - mean) / std on 0..255."""
    if kind is InputKind.IMAGE:
        return [0.0] * 3, [1.0] * 3, [0.0] * 3, [255.0] * 3
    mean = [255 * value for value in preprocess.mean]
    std = [255 * value for value in preprocess.std]
    channels = list(zip(mean, std, strict=True))
    return mean, std, [-m / s for m, s in channels], [(255 - m) / s for m, s in channels]


def _output(card: Card, spec: TensorSpec) -> Fields:
    described = {0: spec.name, 2: _dimension_names(spec), 3: {0: _FEATURE, 1: {}}}
    if not card.labels or math.prod(spec.shape) != len(card.labels):
        return described
    return {**described, 6: [{0: LABELS_FILE, 1: "one label a line, by class index", 2: _TENSOR_AXIS_LABELS}]}


def _dimension_names(spec: TensorSpec) -> list[str]:
    return [_DIMENSIONS.get(letter, letter) for letter in spec.layout] if len(spec.layout) == len(spec.shape) else []


def _table(builder: Any, fields: Fields) -> int:
    """Write a table and return its offset; what it refers to is written before it, as flatbuffers demand."""
    written = {
        field: value if isinstance(value, int) else _reference(builder, value) for field, value in fields.items()
    }
    builder.StartObject(max(fields, default=-1) + 1)
    for field, value in written.items():
        if isinstance(fields[field], int):
            builder.PrependUint8Slot(field, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(field, value, 0)
    return int(builder.EndObject())


def _reference(builder: Any, value: Any) -> int:
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, Mapping):
        return _table(builder, value)
    if all(isinstance(item, float) for item in value):
        builder.StartVector(4, len(value), 4)
        for item in reversed(value):
            builder.PrependFloat32(item)
    else:
        items = [_reference(builder, item) for item in value]
        builder.StartVector(4, len(items), 4)
        for item in reversed(items):
            builder.PrependUOffsetTRelative(item)
    return int(builder.EndVector())
