"""One host at the daemon's door: who it is, then its streams."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from typing import TYPE_CHECKING

from tests.fakes.adbd.keys import TOKEN_BYTES, parsed_key, signed_by_any
from tests.fakes.adbd.ports import serve_reverse, serve_tcp
from tests.fakes.adbd.service import Service
from tests.fakes.adbd.shell import serve_exec, serve_shell
from tests.fakes.adbd.stream import Stream, StreamClosedError
from tests.fakes.adbd.sync import serve_sync
from tests.fakes.adbd.wire import (
    AUTH,
    CLSE,
    CNXN,
    MAX_PAYLOAD,
    OKAY,
    OPEN,
    PUBLIC_KEY,
    SIGNATURE,
    TOKEN,
    VERSION,
    WRTE,
    Message,
    ProtocolError,
    checksum,
    packed,
    read_message,
)

if TYPE_CHECKING:
    from tests.fakes.adbd.daemon import Adbd

SERVICES = {"shell": serve_shell, "exec": serve_exec, "sync": serve_sync, "tcp": serve_tcp, "reverse": serve_reverse}


class Connection:
    """`serve` runs until the host goes; then nothing of its commands is left."""

    def __init__(self, phone: Adbd, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._phone = phone
        self._reader = reader
        self._writer = writer
        self._with_sums = True
        self._max_payload = 4096
        self._numbers = itertools.count(1)
        self._streams: dict[int, Stream] = {}
        self._opening: dict[int, asyncio.Future[Stream]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ProtocolError):
            await self._greet()
            while True:
                self._dispatch(await read_message(self._reader))
        for stream in self._streams.values():
            stream.on_close()
        await asyncio.gather(*self._tasks)
        self._writer.close()

    def drop(self) -> None:
        self._writer.transport.abort()
        if self._phone.mishaps.faults.stays_away:
            self._phone.stop_listening()

    def _send(self, message: Message) -> None:
        if not self._writer.is_closing():
            self._writer.write(packed(message, checksum(message.payload) if self._with_sums else 0))

    async def _greet(self) -> None:
        hello = await read_message(self._reader)
        if hello.command != CNXN:
            raise ProtocolError(f"{hello.command!r} before CNXN")
        self._with_sums = hello.arg0 < VERSION
        self._max_payload = min(hello.arg1, MAX_PAYLOAD)
        if self._phone.authenticates:
            await self._authenticate()
        self._send(Message(CNXN, min(hello.arg0, VERSION), MAX_PAYLOAD, self._phone.identity.banner()))

    async def _authenticate(self) -> None:
        token = b""
        while True:
            answer = await self._challenge(token := os.urandom(TOKEN_BYTES))
            if answer.arg0 == SIGNATURE and signed_by_any(token, answer.payload, self._phone.known_keys):
                return
            if answer.arg0 == PUBLIC_KEY:
                key = parsed_key(answer.payload)
                while self._phone.mishaps.faults.unauthorized:  # silent until the host gives up
                    await read_message(self._reader)
                self._phone.known_keys.append(key)
                return

    async def _challenge(self, token: bytes) -> Message:
        self._send(Message(AUTH, TOKEN, 0, token))
        answer = await read_message(self._reader)
        if answer.command != AUTH:
            raise ProtocolError(f"{answer.command!r} before AUTH")
        return answer

    def _dispatch(self, message: Message) -> None:
        if message.command == OPEN:
            self._open(message)
        elif message.arg1 in self._opening:
            self._answered(message)
        elif message.arg1 not in self._streams:
            return  # a last word to a stream that has ended
        elif message.command == OKAY:
            self._streams[message.arg1].on_okay()
        elif message.command == WRTE:
            self._streams[message.arg1].on_write(message.payload)
        elif message.command == CLSE:
            self._send(Message(CLSE, message.arg1, message.arg0))
            self._streams.pop(message.arg1).on_close()

    def _new_stream(self, number: int, hosts_number: int) -> Stream:
        pause = self._phone.mishaps.faults.seconds_per_write
        self._streams[number] = stream = Stream(number, hosts_number, self._send, self._max_payload, pause)
        return stream

    def _open(self, message: Message) -> None:
        name = message.payload.rstrip(b"\0").decode("utf-8", "surrogateescape")
        kind = name.partition(":")[0].partition(",")[0]
        refused = self._phone.mishaps.faults.refuse_open and self._phone.mishaps.strikes(name, 0, 0)
        if kind not in SERVICES or refused:
            self._send(Message(CLSE, 0, message.arg0))
            return
        stream = self._new_stream(next(self._numbers), message.arg0)
        self._send(Message(OKAY, stream.number, stream.hosts_number))
        task = asyncio.ensure_future(self._serve(name, kind, stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, name: str, kind: str, stream: Stream) -> None:
        phone = self._phone
        service = Service(
            name,
            stream,
            phone.userland,
            phone.mishaps,
            phone.identity.legacy_shell,
            phone.listening,
            self.drop,
            self._open_on_host,
        )
        try:
            with contextlib.suppress(StreamClosedError):
                await SERVICES[kind](service)
        finally:
            if self._streams.pop(stream.number, None):
                stream.close()

    async def _open_on_host(self, service: str) -> Stream:
        number = next(self._numbers)
        self._opening[number] = asyncio.get_running_loop().create_future()
        self._send(Message(OPEN, number, 0, service.encode() + b"\0"))
        return await self._opening[number]

    def _answered(self, message: Message) -> None:
        """To our OPEN: OKAY with the host's number, or CLSE."""
        opening = self._opening.pop(message.arg1)
        if message.command == OKAY:
            opening.set_result(self._new_stream(message.arg1, message.arg0))
        else:
            opening.set_exception(StreamClosedError())
