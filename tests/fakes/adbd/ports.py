"""The services that connect ports: `tcp:` for `adb forward`, `reverse:` for `adb reverse`."""

from __future__ import annotations

import asyncio
import contextlib

from tests.fakes.adbd.service import Service
from tests.fakes.adbd.stream import Stream, StreamClosedError

LOOPBACK = "127.0.0.1"


async def serve_tcp(service: Service) -> None:
    """Connect a port of the phone to the stream."""
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection(LOOPBACK, int(service.argument))
        await _join(service.stream, reader, writer)


async def serve_reverse(service: Service) -> None:
    """`forward:tcp:A;tcp:B`, `killforward:tcp:A`, `killforward-all`, `list-forward`."""
    verb, _, ends = service.argument.partition(":")
    try:
        reply = await _reverse(service, verb, ends)
    except (OSError, KeyError, ValueError) as error:
        reply = b"FAIL" + _counted(str(error))
    await service.stream.write(reply)
    await service.stream.flushed()


async def _reverse(service: Service, verb: str, ends: str) -> bytes:
    listening = service.listening
    if verb == "list-forward":
        return _counted("".join(f"host {ours} {theirs}\n" for ours, (theirs, _) in listening.items()))
    if verb == "forward":
        ours, theirs = ends.removeprefix("norebind:").split(";")
        server = await _listen(service, int(ours.removeprefix("tcp:")), theirs)
        port = server.sockets[0].getsockname()[1]
        listening[f"tcp:{port}"] = (theirs, server)
        return b"OKAY" + (_counted(str(port)) if ours == "tcp:0" else b"")
    if verb not in ("killforward", "killforward-all"):
        raise ValueError(f"no reverse service {verb!r}")
    for ours in [ends] if ends else list(listening):
        listening.pop(ours)[1].close()
    return b"OKAY"


async def _listen(service: Service, port: int, hosts_end: str) -> asyncio.Server:
    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = await service.open_on_host(hosts_end)
        await _join(stream, reader, writer)
        stream.close()

    return await asyncio.start_server(on_connection, LOOPBACK, port)


def _counted(text: str) -> bytes:
    return f"{len(text.encode()):04x}{text}".encode()


async def _join(stream: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Both ways, until one side ends."""
    inward, outward = asyncio.ensure_future(_inward(stream, writer)), asyncio.ensure_future(_outward(stream, reader))
    await asyncio.wait({inward, outward}, return_when=asyncio.FIRST_COMPLETED)
    for task in (inward, outward):
        task.cancel()
    await asyncio.gather(inward, outward, return_exceptions=True)
    writer.close()


async def _inward(stream: Stream, writer: asyncio.StreamWriter) -> None:
    while data := await stream.read():
        writer.write(data)
        await writer.drain()


async def _outward(stream: Stream, reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(StreamClosedError):
        while data := await reader.read(1 << 16):
            await stream.write(data)
        await stream.flushed()
