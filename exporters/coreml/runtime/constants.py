"""Values that stand in a program or beside it: numbers, text and tuples of them, from messages nobody vouches for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from edge.errors import BadArtifactError
from exporters.coreml.package import AGAIN
from exporters.coreml.runtime.datatypes import BLOB_CODES, DATA_TYPES, DataType, Kind
from exporters.coreml.weights import Weights

LARGEST_TENSOR_BYTES = 2**32
"""No value of a mobile network comes near 4 GiB as held here; a file that declares a larger one is damaged or means harm."""
LARGEST_RANK = 64
"""torch's own limit; the language allows five axes at most (coremltools guide, "ML Programs")."""

Shape = tuple[int | None, ...]
"""Sizes of the axes; None where only the inputs of a run decide."""
UNTRUSTED = "do not trust this file"
FIELDS = {
    "floats": Kind.FLOAT,
    "doubles": Kind.FLOAT,
    "ints": Kind.INTEGER,
    "longInts": Kind.INTEGER,
    "bools": Kind.BOOL,
}


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in a blob file: its size is checked, its bytes are decoded when it is first needed."""

    content: memoryview
    data_type: DataType
    shape: tuple[int, ...]

    def tensor(self) -> torch.Tensor:
        return self.data_type.from_bytes(self.content, math.prod(self.shape)).reshape(self.shape)


def tensor_type(message: Any, where: str) -> tuple[DataType, Shape | None]:
    """The data type and shape of a `TensorType` message; no shape when even the number of axes is open.

    Raises `BadArtifactError` for an unknown data type and for sizes that no network has.
    """
    if message.dataType not in DATA_TYPES:
        raise BadArtifactError(f"{where} has data type {message.dataType}, which is unknown", hint=AGAIN)
    data_type = DATA_TYPES[message.dataType]
    if message.rank < 0 or any(axis.unknown.variadic for axis in message.dimensions):
        return data_type, None
    shape = tuple(axis.constant.size if axis.HasField("constant") else None for axis in message.dimensions)
    if message.rank != len(shape) or len(shape) > LARGEST_RANK:
        raise BadArtifactError(f"{where} declares rank {message.rank} and {len(shape)} axes", hint=AGAIN)
    count = math.prod(size or 1 for size in shape)  # an axis of size 0 makes no other size less absurd
    if count * data_type.held.itemsize > LARGEST_TENSOR_BYTES:
        raise BadArtifactError(f"{where} declares the absurd shape {shape}", hint=UNTRUSTED)
    return data_type, shape


def value(message: Any, weights: Weights, where: str) -> Any:
    """What a `Value` message holds: a tensor, a stored one, a text, or a tuple of values. Raises `BadArtifactError`."""
    kind = message.type.WhichOneof("type")
    if kind == "tensorType":
        return _tensor(message, weights, where)
    if kind in {"listType", "tupleType"} and message.HasField("immediateValue"):
        parts = getattr(message.immediateValue, kind.removesuffix("Type")).values
        return tuple(value(part, weights, where) for part in parts)
    raise BadArtifactError(f"{where} holds a constant of type {kind}, which is not understood here", hint=AGAIN)


def _tensor(message: Any, weights: Weights, where: str) -> Any:
    data_type, open_shape = tensor_type(message.type.tensorType, where)
    if open_shape is None or None in open_shape:
        raise BadArtifactError(f"{where} is a constant of open shape", hint=AGAIN)
    shape = tuple(size or 0 for size in open_shape)
    if message.HasField("blobFileValue"):
        return _stored(message.blobFileValue, data_type, shape, weights, where)
    if data_type.kind is Kind.STRING:
        return _strings(message.immediateValue.tensor, shape, where)
    return _immediate(message.immediateValue.tensor, data_type, shape, where)


def _stored(blob: Any, data_type: DataType, shape: tuple[int, ...], weights: Weights, where: str) -> Stored:
    found = weights.blob(blob.fileName, blob.offset)
    code = BLOB_CODES.get(found.code)
    if code is None or DATA_TYPES[code].bits != data_type.bits or DATA_TYPES[code].kind is not data_type.kind:
        raise BadArtifactError(f"{where} is declared {data_type.name}, its weights are of another type", hint=AGAIN)
    _check_length(len(found.content), data_type, math.prod(shape), where)
    return Stored(found.content, data_type, shape)


def _immediate(tensor: Any, data_type: DataType, shape: tuple[int, ...], where: str) -> torch.Tensor:
    count, field = math.prod(shape), tensor.WhichOneof("value")
    if field == "bytes":
        _check_length(len(tensor.bytes.values), data_type, count, where)
        return data_type.from_bytes(tensor.bytes.values, count).reshape(shape)
    if field is not None and FIELDS.get(field) is not data_type.kind:
        raise BadArtifactError(f"{where} is declared {data_type.name} and given as {field}", hint=AGAIN)
    numbers = list(getattr(tensor, field).values) if field is not None else []
    if len(numbers) != count:
        raise BadArtifactError(f"{where} declares {count} values and holds {len(numbers)}", hint=AGAIN)
    wide = torch.int64 if data_type.kind is Kind.INTEGER else None
    return torch.tensor(numbers, dtype=wide).to(data_type.held).reshape(shape)


def _check_length(found_bytes: int, data_type: DataType, count: int, where: str) -> None:
    if found_bytes != data_type.bytes_of(count):
        raise BadArtifactError(
            f"{where} declares {count} values of {data_type.name} and holds {found_bytes} bytes", hint=AGAIN
        )


def _strings(tensor: Any, shape: tuple[int, ...], where: str) -> str | tuple[str, ...]:
    texts = tuple(tensor.strings.values)
    if len(texts) != math.prod(shape):
        raise BadArtifactError(f"{where} declares other than {len(texts)} texts", hint=AGAIN)
    return texts if shape else texts[0]
