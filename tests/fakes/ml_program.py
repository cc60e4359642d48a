"""ML Programs written message by message, sound or not, without the toolchain that writes only sound ones."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from exporters.coreml import package
from exporters.coreml.proto import model_class
from exporters.coreml.weights import PREFIX, RECORD, SENTINEL

OPSETS = {15: "CoreML5", 16: "CoreML6", 17: "CoreML7", 18: "CoreML8"}
FLOAT16, FLOAT32, INT8, INT32, STRING, BOOL = 10, 11, 21, 23, 2, 1
ARRAYS = {FLOAT16: 65552, FLOAT32: 65568, INT8: 131080, INT32: 131104}
"""Core ML's number of the array type for a data type of the program."""
WEIGHT_FILE = f"{PREFIX}weights/weight.bin"
BLOB_CODES = {"float16": 1, "float32": 2, "uint8": 3, "int8": 4}


def tensor(value_type: Any, data_type: int, shape: Sequence[int | None]) -> None:
    """Make a `ValueType` message a tensor; None is an axis that only the run decides."""
    kind = value_type.tensorType
    kind.dataType, kind.rank = data_type, len(shape)
    for size in shape:
        axis = kind.dimensions.add()
        if size is None:
            axis.unknown.variadic = False
        else:
            axis.constant.size = size


class Body:
    """A block under construction: `arguments` and operations are added in order."""

    def __init__(self, block: Any) -> None:
        self.block = block

    def operation(self, kind: str, outputs: Mapping[str, tuple[int, Sequence[int | None]]], **inputs: Any) -> Any:
        """An operation whose inputs are names, or lists of names."""
        message = self.block.operations.add(type=kind)
        for name, (data_type, shape) in outputs.items():
            tensor(message.outputs.add(name=name).type, data_type, shape)
        for parameter, names in inputs.items():
            for name in [names] if isinstance(names, str) else names:
                message.inputs[parameter].arguments.add(name=name)
        return message

    def constant(self, name: str, value: Any) -> Any:
        """A constant inside the program: a text, or what NumPy makes a float32, int32 or bool array of."""
        message = self.block.operations.add(type="const")
        held = message.attributes["val"]
        if isinstance(value, str):
            tensor(held.type, STRING, ())
            held.immediateValue.tensor.strings.values.append(value)
        else:
            array = np.asarray(value)
            data_type, field = {"f": (FLOAT32, "floats"), "i": (INT32, "ints"), "b": (BOOL, "bools")}[array.dtype.kind]
            tensor(held.type, data_type, array.shape)
            getattr(held.immediateValue.tensor, field).values.extend(array.ravel().tolist())
        message.outputs.add(name=name).type.CopyFrom(held.type)
        return message

    def weight(self, name: str, data_type: int, shape: Sequence[int], offset: int) -> Any:
        """A constant in the blob file."""
        message = self.block.operations.add(type="const")
        held = message.attributes["val"]
        tensor(held.type, data_type, shape)
        held.blobFileValue.fileName, held.blobFileValue.offset = WEIGHT_FILE, offset
        message.outputs.add(name=name).type.CopyFrom(held.type)
        return message

    def within(self, message: Any) -> Body:
        """Another block inside an operation."""
        return Body(message.blocks.add())


class Program:
    """A model with one function; `body` holds its operations."""

    def __init__(self, opset: int = 17) -> None:
        self.model = model_class()(specificationVersion=opset - 9)
        self.function = self.model.mlProgram.functions["main"]
        self.function.opset = OPSETS[opset]
        self.body = Body(self.function.block_specializations[OPSETS[opset]])

    def declare(self, name: str, data_type: int, shape: Sequence[int | None]) -> None:
        """An input of the function alone: the description says nothing of it."""
        tensor(self.function.inputs.add(name=name).type, data_type, shape)

    def array_input(self, name: str, shape: Sequence[int | None], data_type: int = FLOAT32) -> Any:
        """An input that is an array; returns its feature."""
        self.declare(name, data_type, shape)
        feature = self.model.description.input.add(name=name)
        array = feature.type.multiArrayType
        array.dataType = ARRAYS[data_type]
        array.shape.extend([size or 1 for size in shape] or [1])
        return feature

    def output(self, name: str, data_type: int = FLOAT32) -> Any:
        """A result of the function, as an array of any shape; returns its feature."""
        self.body.block.outputs.append(name)
        feature = self.model.description.output.add(name=name)
        feature.type.multiArrayType.dataType = ARRAYS[data_type]
        return feature


def blob_file(*arrays: np.ndarray) -> tuple[bytes, list[int]]:
    """A blob file that holds the arrays, and the offset of the record of each."""
    content, offsets = bytearray(struct.pack("<II", len(arrays), 2).ljust(64, b"\0")), []
    for array in arrays:
        offsets.append(len(content))
        record = RECORD.pack(SENTINEL, BLOB_CODES[array.dtype.name], array.nbytes, len(content) + 64)
        content += record.ljust(64, b"\0") + array.tobytes()
        content += bytes(-len(content) % 64)
    return bytes(content), offsets


def write(folder: Path, program: Program, weights: bytes = b"") -> Path:
    """The package of a program, with these bytes as its blob file."""
    beside = folder / "weights"
    beside.mkdir(parents=True)
    if weights:
        (beside / "weight.bin").write_bytes(weights)
    path = folder / "small.mlpackage"
    package.write(path, program.model, beside)
    return path
