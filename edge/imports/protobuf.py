"""Reads protobuf's wire format into fields by number; the messages that we import are few and flat."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TypeVar

from edge.errors import UsageError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types (protobuf's encoding guide); 3 and 4 are groups, which none of our messages has."""
VARINT_BYTES = 10
Value = TypeVar("Value", int, bytes)


@dataclass(frozen=True, slots=True)
class Message:
    """A message's fields: number → values in order. An absent optional field is None, an absent repeated one empty."""

    _fields: dict[int, list[int | bytes]] = field(default_factory=dict)

    def integer(self, number: int) -> int | None:
        """An int32 or int64, whose negative values are written as 64 bits of two's complement."""
        value = self._last(number, int)
        return None if value is None else value - (1 << 64) if value >= 1 << 63 else value

    def float32(self, number: int) -> float | None:
        value = self._last(number, int)
        if value is None:
            return None
        if value >= 1 << 32:
            raise _damaged(f"field {number} is no float")
        found: float = struct.unpack("<f", struct.pack("<I", value))[0]
        return found

    def text(self, number: int) -> str:
        value = self._last(number, bytes)
        return "" if value is None else value.decode("utf-8", "replace")

    def message(self, number: int) -> Message:
        """The message in a field; an empty one where there is none."""
        return (self.messages(number) or (Message(),))[-1]

    def messages(self, number: int) -> tuple[Message, ...]:
        values = self._fields.get(number, [])
        return tuple(parsed(value) for value in values if isinstance(value, bytes))

    def _last(self, number: int, kind: type[Value]) -> Value | None:
        values = self._fields.get(number)
        if not values:
            return None
        value = values[-1]
        if not isinstance(value, kind):
            raise _damaged(f"field {number} is no {kind.__name__}")
        return value


def parsed(data: bytes) -> Message:
    """The fields of a message. Raises `UsageError` for bytes that are none."""
    fields: dict[int, list[int | bytes]] = {}
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        value, at = _value(data, at, key & 7)
        if key >> 3 == 0:
            raise _damaged("a field has the number 0")
        fields.setdefault(key >> 3, []).append(value)
    return Message(fields)


def _value(data: bytes, at: int, wire_type: int) -> tuple[int | bytes, int]:
    if wire_type == VARINT:
        return _varint(data, at)
    if wire_type == BYTES:
        length, at = _varint(data, at)
        return _taken(data, at, length), at + length
    if wire_type in (FIXED64, FIXED32):
        length = 8 if wire_type == FIXED64 else 4
        return int.from_bytes(_taken(data, at, length), "little"), at + length
    raise _damaged(f"wire type {wire_type}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(VARINT_BYTES):
        byte = _taken(data, at + place, 1)[0]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value & ((1 << 64) - 1), at + place + 1
    raise _damaged("a number does not end")


def _taken(data: bytes, at: int, length: int) -> bytes:
    if at + length > len(data):
        raise _damaged("it ends too early")
    return data[at : at + length]


def _damaged(what: str) -> UsageError:
    return UsageError(
        f"this is no protobuf message: {what}", hint="was it written with --result_file_path, or as proto?"
    )
