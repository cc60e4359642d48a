"""The service that copies files, first version: STAT, LIST, SEND, RECV, QUIT (devices sheet §1.3)."""

from __future__ import annotations

import errno
import os
import stat
import struct
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from tests.fakes.adbd.paths import OutsideError, resolved
from tests.fakes.adbd.service import Service
from tests.fakes.adbd.stream import StreamClosedError

REQUEST = struct.Struct("<4sI")
CHUNK = 1 << 16
"""The most that one DATA may hold."""
WRITE = 1 << 20


async def serve_sync(service: Service) -> None:
    with suppress(StreamClosedError):
        await _Sync(service).run()


class _Sync:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._stream = service.stream
        self._mtime: int | None = None
        """Of the file being sent; None until all of it is here."""

    async def run(self) -> None:
        requests = {b"STAT": self._stat, b"LIST": self._list, b"SEND": self._send, b"RECV": self._recv}
        while True:
            request, length = REQUEST.unpack(await self._stream.readexactly(REQUEST.size))
            path = (await self._stream.readexactly(length)).decode("utf-8", "surrogateescape")
            if request not in requests:
                return  # QUIT, or a request that our features do not offer
            try:
                await requests[request](path)
            except (OSError, OutsideError) as error:
                await self._fail(getattr(error, "strerror", None) or str(error))

    def _local(self, path: str) -> Path:
        return resolved(self._service.userland.root, path)

    async def _fail(self, why: str) -> None:
        text = why.encode()
        await self._stream.write(REQUEST.pack(b"FAIL", len(text)) + text)

    async def _stat(self, path: str) -> None:
        words = (0, 0, 0)  # nothing there
        with suppress(OSError, OutsideError):
            found = self._local(path).lstat()
            words = (found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime))
        await self._stream.write(struct.pack("<4sIII", b"STAT", *words))

    async def _list(self, path: str) -> None:
        entries = bytearray()
        with suppress(OSError, OutsideError):  # a folder that is not there has no entries
            for entry in sorted(os.scandir(self._local(path)), key=lambda entry: entry.name):
                found, name = entry.stat(follow_symlinks=False), os.fsencode(entry.name)
                size, mtime = found.st_size & 0xFFFFFFFF, int(found.st_mtime)
                entries += struct.pack("<4sIIII", b"DENT", found.st_mode, size, mtime, len(name)) + name
        await self._stream.write(bytes(entries) + struct.pack("<4sIIII", b"DONE", 0, 0, 0, 0))

    async def _recv(self, path: str) -> None:
        local = self._local(path)
        if not stat.S_ISREG(local.stat().st_mode):
            raise OSError(0, "not a regular file")
        waiting = bytearray()
        with local.open("rb") as file:
            while data := file.read(CHUNK):
                waiting += REQUEST.pack(b"DATA", len(data)) + data
                if len(waiting) >= WRITE - 2 * CHUNK:
                    await self._stream.write(bytes(waiting))
                    waiting.clear()
        await self._stream.write(bytes(waiting) + REQUEST.pack(b"DONE", 0))

    async def _send(self, path_and_mode: str) -> None:
        path, _, mode = path_and_mode.rpartition(",")
        self._mtime = None
        try:
            local = self._local(path)
            local.parent.mkdir(parents=True, exist_ok=True)
            local.unlink(missing_ok=True)  # a program that runs keeps its own file
            if stat.S_ISLNK(int(mode)):
                await self._receive_link(local)
            else:
                await self._receive_file(local, path, int(mode))
        except (OSError, OutsideError):
            while self._mtime is None:  # only then does the host listen
                await self._next_sent()
            raise
        await self._stream.write(REQUEST.pack(b"OKAY", 0))

    async def _next_sent(self) -> bytes | None:
        """The next piece of the file, which may be empty; None at its end, which tells its time."""
        kind, number = REQUEST.unpack(await self._stream.readexactly(REQUEST.size))
        if kind == b"DATA":
            return await self._stream.readexactly(number)
        self._mtime = number
        return None

    async def _receive_link(self, local: Path) -> None:
        target = bytearray()
        while (data := await self._next_sent()) is not None:
            target += data
        local.symlink_to(os.fsdecode(bytes(target).rstrip(b"\0")))

    async def _receive_file(self, local: Path, path: str, mode: int) -> None:
        try:
            with local.open("wb") as file:
                await self._write_sent(file, path)
        except BaseException:
            local.unlink(missing_ok=True)  # whole or absent
            raise
        local.chmod(_for_everyone(mode))
        os.utime(local, (self._mtime or 0, self._mtime or 0))

    async def _write_sent(self, file: BinaryIO, path: str) -> None:
        faults, strikes, count = self._service.mishaps.faults, self._service.mishaps.strikes, 0
        while (data := await self._next_sent()) is not None:
            count += len(data)
            if strikes(path, faults.drop_after_sent, count):
                self._service.drop()
                raise StreamClosedError
            if strikes(path, faults.stall_after_sent, count):
                await self._stream.closed.wait()
            if strikes(path, faults.full_after_sent, count):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            file.write(data)


def _for_everyone(mode: int) -> int:
    """What the owner may do, the group and others may too, as a real adbd has it."""
    owner = mode >> 6 & 0o7
    return mode & 0o777 | owner << 3 | owner
