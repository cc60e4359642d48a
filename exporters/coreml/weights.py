"""The blob file beside an ML Program: 64-byte records that say where each tensor's bytes lie."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from edge.errors import BadArtifactError
from exporters.coreml.package import AGAIN, inside, model_file, operations

PREFIX = "@model_path/"
"""Stands for the folder of the model file (coremltools, `mil/backend/mil/load.py`)."""
RECORD = struct.Struct("<IIQQ")
"""Sentinel, data type, size in bytes, offset of the bytes (coremltools, `mlmodel/src/MILBlob/Blob/StorageFormat.hpp`)."""
SENTINEL = 0xDEADBEEF


def check(path: Path, model: Any) -> None:
    """Every tensor that the program reads lies whole in a file of the package. Raises `BadArtifactError`."""
    below = model_file(path).parent.relative_to(path.resolve())
    for operation in operations(model):
        for value in operation.attributes.values():
            if value.WhichOneof("value") == "blobFileValue":
                blob = value.blobFileValue
                _check_record(path, below, blob.fileName, blob.offset)


def _check_record(path: Path, below: Path, name: str, offset: int) -> None:
    if not name.startswith(PREFIX):
        raise BadArtifactError(f"{path.name}: weights in {name!r}, outside the package", hint="do not trust this file")
    file = inside(path, f"{below.as_posix()}/{name.removeprefix(PREFIX)}")
    size = file.stat().st_size
    with file.open("rb") as blobs:
        blobs.seek(min(offset, size))
        record = blobs.read(RECORD.size)
    if len(record) == RECORD.size:
        sentinel, _, data_bytes, data_offset = RECORD.unpack(record)
        if sentinel == SENTINEL and data_offset + data_bytes <= size:
            return
    raise BadArtifactError(f"{path.name}: the weights are damaged or cut short at byte {offset}", hint=AGAIN)
