"""The blob file beside an ML Program: 64-byte records that say where each tensor's bytes lie, mapped and not copied."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.errors import BadArtifactError
from exporters.coreml.package import AGAIN, inside, model_file, operations

PREFIX = "@model_path/"
"""Stands for the folder of the model file (coremltools, `mil/backend/mil/load.py`)."""
RECORD = struct.Struct("<IIQQ")
"""Sentinel, data type, size in bytes, offset of the bytes (coremltools, `mlmodel/src/MILBlob/Blob/StorageFormat.hpp`)."""
SENTINEL = 0xDEADBEEF
ALIGNMENT = 64
"""Records and the bytes that they point at start at multiples of it (same header)."""


@dataclass(frozen=True, slots=True)
class Blob:
    """The bytes of one stored tensor, and the code of their data type (`mlmodel/src/MILBlob/Blob/BlobDataType.hpp`)."""

    code: int
    content: memoryview


@dataclass(frozen=True, slots=True)
class Weights:
    """The blob files of the package at `package`, each mapped on first use; they must not change while in use."""

    package: Path
    mapped: dict[str, memoryview] = field(default_factory=dict)

    def blob(self, name: str, offset: int) -> Blob:
        """The blob whose record lies at `offset` of the file `name`. Raises `BadArtifactError`."""
        content = self._content(name)
        if offset + RECORD.size <= len(content):
            sentinel, code, data_bytes, data_offset = RECORD.unpack_from(content, offset)
            aligned = not (offset % ALIGNMENT or data_offset % ALIGNMENT)
            if sentinel == SENTINEL and aligned and data_offset + data_bytes <= len(content):
                return Blob(code, content[data_offset : data_offset + data_bytes])
        raise BadArtifactError(
            f"{self.package.name}: the weights are damaged or cut short at byte {offset}", hint=AGAIN
        )

    def _content(self, name: str) -> memoryview:
        if name not in self.mapped:
            self.mapped[name] = self._map(name)
        return self.mapped[name]

    def _map(self, name: str) -> memoryview:
        if not name.startswith(PREFIX):
            raise BadArtifactError(
                f"{self.package.name}: weights in {name!r}, outside the package", hint="do not trust this file"
            )
        below = model_file(self.package).parent.relative_to(self.package.resolve())
        file = inside(self.package, f"{below.as_posix()}/{name.removeprefix(PREFIX)}")
        if not file.is_file() or not file.stat().st_size:
            raise BadArtifactError(f"{self.package.name}: {name!r} holds no weights", hint=AGAIN)
        with file.open("rb") as opened:
            return memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY))


def check(path: Path, model: Any) -> None:
    """Every tensor that the program reads lies whole in a file of the package. Raises `BadArtifactError`."""
    weights = Weights(path)
    for operation in operations(model):
        for value in operation.attributes.values():
            if value.WhichOneof("value") == "blobFileValue":
                weights.blob(value.blobFileValue.fileName, value.blobFileValue.offset)
