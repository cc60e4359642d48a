"""Reads a flatbuffer by field number, trusting nothing: what points outside the bytes is a `BadArtifactError`.

The layout is the public one of FlatBuffers (https://flatbuffers.dev/internals): a table starts with the signed distance
back to its vtable, whose 16-bit entries say where each field lies; strings, vectors and tables are reached by offsets.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edge.errors import BadArtifactError


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its whole flatbuffer and the byte at which it starts. A field that is absent reads as its default."""

    data: memoryview
    position: int

    @classmethod
    def root(cls, data: bytes, identifier: bytes) -> Table:
        """The root table of a flatbuffer whose file identifier starts with `identifier`."""
        if data[4:8][: len(identifier)] != identifier or len(data) < 8:
            raise damaged("it does not begin as its kind of file does")
        whole = cls(memoryview(data), 0)
        return cls(whole.data, whole._number("<I", 0))

    def integer(self, field: int, kind: str, default: int = 0) -> int:
        """A number; `kind` is a `struct` format such as `<I`."""
        at = self._at(field)
        return default if at is None else self._number(kind, at)

    def table(self, field: int) -> Table | None:
        """A table inside this one."""
        at = self._at(field)
        return None if at is None else Table(self.data, self._follow(at))

    def tables(self, field: int) -> tuple[Table, ...]:
        """A vector of tables."""
        start, count = self._vector(field, 4)
        return tuple(Table(self.data, self._follow(start + 4 * index)) for index in range(count))

    def integers(self, field: int, kind: str) -> tuple[int, ...]:
        """A vector of numbers."""
        size = struct.calcsize(kind)
        start, count = self._vector(field, size)
        return tuple(self._number(kind, start + size * index) for index in range(count))

    def blob(self, field: int) -> memoryview:
        """A vector of bytes."""
        start, count = self._vector(field, 1)
        return self.data[start : start + count]

    def text(self, field: int) -> str:
        """A string."""
        return bytes(self.blob(field)).decode("utf-8", errors="replace")

    def _at(self, field: int) -> int | None:
        vtable = self.position - self._number("<i", self.position)
        entry = 4 + 2 * field
        if entry >= self._number("<H", vtable):
            return None
        distance = self._number("<H", vtable + entry)
        return self.position + distance if distance else None

    def _vector(self, field: int, item_size: int) -> tuple[int, int]:
        at = self._at(field)
        if at is None:
            return 0, 0
        start = self._follow(at)
        count = self._number("<I", start)
        if start + 4 + count * item_size > len(self.data):
            raise damaged("it ends before its contents do")
        return start + 4, count

    def _follow(self, at: int) -> int:
        return at + self._number("<I", at)

    def _number(self, kind: str, at: int) -> int:
        if at < 0 or at + struct.calcsize(kind) > len(self.data):
            raise damaged("it ends before its contents do")
        return int(struct.unpack_from(kind, self.data, at)[0])


def damaged(reason: str) -> BadArtifactError:
    """The error for a file that cannot be what its name says."""
    return BadArtifactError(f"the model file is damaged: {reason}", hint="export the model again")
