"""The services that run a command: `shell` with and without packets of its second version, and `exec`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

from tests.fakes.adbd.process import Process, start_on_terminal, start_piped
from tests.fakes.adbd.service import Service
from tests.fakes.adbd.stream import Stream, StreamClosedError

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN, WINDOW_SIZE = range(6)
"""Kinds of packets in a shell v2 stream."""
CHUNK = 1 << 16
PACKET = struct.Struct("<BI")
Strike = Callable[[], Awaitable[None]]


async def serve_shell(service: Service) -> None:
    options = service.name.partition(":")[0].split(",")
    on_terminal = "pty" in options or ("raw" not in options and (service.legacy_shell or not service.argument))
    if on_terminal:
        process = await start_on_terminal(service.userland, service.argument)
    else:
        stderr = asyncio.subprocess.PIPE if "v2" in options else asyncio.subprocess.STDOUT
        process = await start_piped(service.userland, service.argument, stderr)
    await _Command(service, process, _Packets() if "v2" in options else _Raw()).run()


async def serve_exec(service: Service) -> None:
    process = await start_piped(service.userland, service.argument, asyncio.subprocess.STDOUT)
    await _Command(service, process, _Raw()).run()


class _Raw:
    """The first version: nothing but bytes, so no exit code."""

    async def incoming(self, stream: Stream) -> AsyncIterator[tuple[int, bytes]]:
        while data := await stream.read():
            yield STDIN, data

    def framed(self, kind: int, data: bytes) -> bytes:  # noqa: ARG002
        return data

    def ending(self, exit_code: int) -> bytes:  # noqa: ARG002
        return b""


class _Packets:
    """The second version: packets with a kind."""

    async def incoming(self, stream: Stream) -> AsyncIterator[tuple[int, bytes]]:
        with contextlib.suppress(StreamClosedError):
            while True:
                kind, length = PACKET.unpack(await stream.readexactly(PACKET.size))
                yield kind, await stream.readexactly(length)

    def framed(self, kind: int, data: bytes) -> bytes:
        return PACKET.pack(kind, len(data)) + data if data else b""

    def ending(self, exit_code: int) -> bytes:
        return PACKET.pack(EXIT, 1) + bytes([exit_code])


class _Command:
    """One command from its start to its exit code."""

    def __init__(self, service: Service, process: Process, framing: _Raw | _Packets) -> None:
        self._service = service
        self._process = process
        self._framing = framing
        self._written = 0
        self._struck = False  # a fault strikes a command once, however much output it still has

    async def run(self) -> None:
        closed = asyncio.ensure_future(self._service.stream.closed.wait())
        feeding = asyncio.ensure_future(self._feed())
        output = asyncio.ensure_future(self._pump_all())
        try:
            await asyncio.wait({closed, output}, return_when=asyncio.FIRST_COMPLETED)
            if closed.done():  # what the host has written before it closed still goes in
                await asyncio.wait({feeding}, timeout=1.0)
            else:
                await self._tell_exit_code()
        finally:
            for task in (closed, feeding, output):
                task.cancel()
            await asyncio.gather(closed, feeding, output, return_exceptions=True)
            await self._process.hang_up()

    async def _feed(self) -> None:
        stdin = self._process.stdin
        with contextlib.suppress(ConnectionError):  # a command need not read all of its input
            async for kind, data in self._framing.incoming(self._service.stream):
                if kind == STDIN:
                    stdin.write(data)
                    await stdin.drain()
                elif kind == CLOSE_STDIN:
                    break
        stdin.close()
        async for _ in self._framing.incoming(self._service.stream):
            pass  # taken and dropped, or the host would wait for its OKAY for ever

    async def _pump_all(self) -> None:
        await self._write(STDOUT, b"")  # a fault may be due before any output
        pumps = [self._pump(self._process.stdout, STDOUT)]
        if self._process.stderr is not None:
            pumps.append(self._pump(self._process.stderr, STDERR))
        await asyncio.gather(*pumps)

    async def _pump(self, reader: asyncio.StreamReader, kind: int) -> None:
        while data := await reader.read(CHUNK):
            await self._write(kind, data)

    async def _write(self, kind: int, data: bytes) -> None:
        faults = self._service.mishaps.faults
        strikes: tuple[tuple[int | None, Strike], ...] = (
            (faults.drop_after_output, self._drop),
            (faults.stall_after_output, self._stall),
            (faults.kill_after_output, self._kill),
        )
        for limit, strike in () if self._struck else strikes:
            if self._service.mishaps.strikes(self._service.name, limit, self._written + len(data)):
                self._struck = True
                await self._send(kind, data[: max(0, (limit or 0) - self._written)])
                await self._service.stream.flushed()
                await strike()
                return
        await self._send(kind, data)

    async def _send(self, kind: int, data: bytes) -> None:
        self._written += len(data)
        await self._service.stream.write(self._framing.framed(kind, data))

    async def _drop(self) -> None:
        self._service.drop()

    async def _stall(self) -> None:
        await asyncio.Event().wait()

    async def _kill(self) -> None:
        self._process.signal(signal.SIGKILL)

    async def _tell_exit_code(self) -> None:
        await self._service.stream.write(self._framing.ending(await self._process.exit_code()))
        await self._service.stream.flushed()
