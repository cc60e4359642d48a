"""ADB's messages: a header of six 32-bit words, little-endian, and a payload (devices sheet §1.3)."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

VERSION = 0x01000001
"""From this version of the host on, a checksum may be zero."""
MAX_PAYLOAD = 1 << 20
HEADER = struct.Struct("<4sIIII4s")

CNXN, AUTH, OPEN, OKAY, WRTE, CLSE = b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"WRTE", b"CLSE"
TOKEN, SIGNATURE, PUBLIC_KEY = 1, 2, 3
"""The first argument of AUTH."""


class ProtocolError(Exception):
    """The host sent what no adb sends."""


@dataclass(frozen=True, slots=True)
class Message:
    command: bytes
    arg0: int
    arg1: int
    payload: bytes = b""


def checksum(payload: bytes) -> int:
    return sum(payload) & 0xFFFFFFFF


def magic(command: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in command)


def packed(message: Message, sum_of_payload: int) -> bytes:
    """Header and payload in one piece: in two writes, the second would wait for a delayed acknowledgement."""
    length = len(message.payload)
    header = HEADER.pack(message.command, message.arg0, message.arg1, length, sum_of_payload, magic(message.command))
    return header + message.payload


async def read_message(reader: asyncio.StreamReader) -> Message:
    """The next message; raises `ProtocolError` on a broken one, `IncompleteReadError` where the connection ends."""
    command, arg0, arg1, length, given_sum, given_magic = HEADER.unpack(await reader.readexactly(HEADER.size))
    if given_magic != magic(command) or length > MAX_PAYLOAD:
        raise ProtocolError(f"not an adb header: {command!r}, {length} bytes")
    payload = await reader.readexactly(length)
    if given_sum not in (0, checksum(payload) if given_sum else 0):
        raise ProtocolError(f"the checksum of {command!r} is wrong")
    return Message(command, arg0, arg1, payload)
