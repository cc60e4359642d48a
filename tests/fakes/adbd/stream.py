"""One stream of a connection: bytes both ways, with one unanswered WRTE at most in each direction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.fakes.adbd.wire import CLSE, OKAY, WRTE, Message

Send = Callable[[Message], None]


class StreamClosedError(Exception):
    """The host has closed the stream, or the connection is gone."""


class Stream:
    """`service` talks to the host by `read`, `write` and `close`; the connection calls `on_*` for the host's messages."""

    def __init__(self, number: int, hosts_number: int, send: Send, max_payload: int, seconds_per_write: float) -> None:
        self.number = number
        self.hosts_number = hosts_number
        self._send = send
        self._max_payload = max_payload
        self._seconds_per_write = seconds_per_write
        self._incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self._rest = b""
        self._ready = asyncio.Event()
        self._ready.set()
        self.closed = asyncio.Event()
        """Set once the host has closed the stream; what it wrote before can still be read."""

    def on_okay(self) -> None:
        self._ready.set()

    def on_write(self, payload: bytes) -> None:
        self._incoming.put_nowait(payload)

    def on_close(self) -> None:
        self._incoming.put_nowait(b"")
        self.closed.set()
        self._ready.set()

    async def read(self) -> bytes:
        """The host's next bytes, empty at the end; the host may send more once we are here."""
        if self._rest:
            rest, self._rest = self._rest, b""
            return rest
        payload = await self._incoming.get()
        if not payload:
            self._incoming.put_nowait(b"")  # the end stays the end
        elif not self.closed.is_set():
            await asyncio.sleep(self._seconds_per_write)
            self._send(Message(OKAY, self.number, self.hosts_number))
        return payload

    async def readexactly(self, size: int) -> bytes:
        pieces, missing = [], size
        while missing:
            piece = await self.read()
            if not piece:
                raise StreamClosedError
            pieces.append(piece[:missing])
            self._rest = piece[missing:]
            missing -= len(pieces[-1])
        return b"".join(pieces)

    async def write(self, data: bytes) -> None:
        for start in range(0, len(data), self._max_payload):
            await self._ready.wait()
            await asyncio.sleep(self._seconds_per_write)
            if self.closed.is_set():
                raise StreamClosedError
            self._ready.clear()
            self._send(Message(WRTE, self.number, self.hosts_number, data[start : start + self._max_payload]))

    async def flushed(self) -> None:
        """Wait until the host has taken everything: a CLSE behind an unanswered WRTE would overtake it."""
        await self._ready.wait()

    def close(self) -> None:
        self._send(Message(CLSE, self.number, self.hosts_number))
