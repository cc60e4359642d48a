"""The data types of an ML Program: how wide they are in a file, and what holds them here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
import torch


class Kind(Enum):
    """What sort of values a data type has; an operator never changes it on the way to its declared output."""

    FLOAT = "float"
    INTEGER = "integer"
    BOOL = "bool"
    STRING = "string"


@dataclass(frozen=True, slots=True)
class DataType:
    """A data type: its name in the language, its width in bits, and the torch type that holds its values here.

    Floating point is held as float32 whatever its width: the file's precision is a matter of rounding, see `arithmetic`.
    """

    name: str
    bits: int
    kind: Kind
    held: torch.dtype
    stored: torch.dtype | None = None  # None: a stream of bits, or no numbers

    def bytes_of(self, count: int) -> int:
        """Bytes that `count` values take in a file."""
        return -(-count * self.bits // 8)

    def from_bytes(self, content: memoryview | bytes, count: int) -> torch.Tensor:
        """`count` values (count,) from little-endian bytes; no copy where the file's type is the one held."""
        if self.stored is None:
            return self._from_bits(content, count).view(self.held)
        if not count:
            return torch.empty(0, dtype=self.held)
        writable = bytearray(content) if isinstance(content, bytes) else content
        return torch.frombuffer(writable, dtype=self.stored, count=count).to(self.held)

    def _from_bits(self, content: memoryview | bytes, count: int) -> torch.Tensor:
        """A stream of values below a byte, lowest bit first; a value may straddle two bytes.

        Words of as many bytes as hold a whole number of values (three at most) are taken apart by shifting.
        """
        word_bytes = self.bits // math.gcd(self.bits, 8)
        stream = np.frombuffer(content, np.uint8)
        stream = np.pad(stream, (0, -len(stream) % word_bytes)).reshape(-1, word_bytes)
        words = stream.astype(np.int32) @ (1 << 8 * np.arange(word_bytes, dtype=np.int32))
        values = np.empty((len(words), 8 * word_bytes // self.bits), np.uint8)
        for place in range(values.shape[1]):
            values[:, place] = words >> place * self.bits & (1 << self.bits) - 1
        if self.name.startswith("int"):
            values -= (values >> self.bits - 1) << self.bits
        return torch.from_numpy(values.reshape(-1)[:count])


def _float(name: str, stored: torch.dtype) -> DataType:
    return DataType(name, stored.itemsize * 8, Kind.FLOAT, torch.float32, stored)


def _integer(name: str, bits: int, held: torch.dtype, stored: torch.dtype | None = None) -> DataType:
    return DataType(name, bits, Kind.INTEGER, held, stored)


DATA_TYPES = {
    1: DataType("bool", 8, Kind.BOOL, torch.bool, torch.uint8),
    2: DataType("string", 0, Kind.STRING, torch.uint8),
    10: _float("fp16", torch.float16),
    11: _float("fp32", torch.float32),
    12: _float("fp64", torch.float64),
    13: _float("bf16", torch.bfloat16),
    21: _integer("int8", 8, torch.int8, torch.int8),
    22: _integer("int16", 16, torch.int16, torch.int16),
    23: _integer("int32", 32, torch.int32, torch.int32),
    24: _integer("int64", 64, torch.int64, torch.int64),
    25: _integer("int4", 4, torch.int8),
    31: _integer("uint8", 8, torch.uint8, torch.uint8),
    32: _integer("uint16", 16, torch.int32, torch.uint16),
    33: _integer("uint32", 32, torch.int64, torch.uint32),
    34: _integer("uint64", 64, torch.int64, torch.int64),
    35: _integer("uint4", 4, torch.uint8),
    36: _integer("uint2", 2, torch.uint8),
    37: _integer("uint1", 1, torch.uint8),
    38: _integer("uint6", 6, torch.uint8),
    39: _integer("uint3", 3, torch.uint8),
    40: _float("fp8e4m3fn", torch.float8_e4m3fn),
    41: _float("fp8e5m2", torch.float8_e5m2),
}
"""By the number of `DataType` in MIL.proto; torch computes little in the wider unsigned types, so wider ones hold them."""

BLOB_CODES = {
    1: 10, 2: 11, 3: 31, 4: 21, 5: 13, 6: 22, 7: 32, 8: 25, 9: 37, 10: 36, 11: 35, 12: 39, 13: 38, 14: 23, 15: 33,
    16: 40, 17: 41,
}  # fmt: skip
"""The numbers that blob files use for the same types (coremltools, `mlmodel/src/MILBlob/Blob/BlobDataType.hpp`)."""
