"""The daemon itself: a port of this machine behind which a phone lives."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tests.fakes.adbd.connection import Connection
from tests.fakes.adbd.faults import Faults, Mishaps
from tests.fakes.adbd.service import Userland

PORTS = range(20_000, 30_000)
"""Far from 5555 to 5585, where an adb server looks for emulators by itself."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What `adb devices -l` shows, and what the daemon can do."""

    product: str = "fake"
    model: str = "Fake_Phone"
    device: str = "fake"
    features: tuple[str, ...] = ("shell_v2", "cmd", "fixed_push_mkdir")

    @property
    def legacy_shell(self) -> bool:
        return "shell_v2" not in self.features

    def banner(self) -> bytes:
        names = f"ro.product.name={self.product};ro.product.model={self.model};ro.product.device={self.device}"
        return f"device::{names};features={','.join(self.features)}".encode()


class Adbd:
    """A phone on the wire, from `with` to the end of the block, in a thread of its own: `adb connect SERIAL` finds it.

    With `authenticates` it asks hosts for a key, and accepts (and remembers) each one unless `faults.unauthorized`.
    """

    def __init__(
        self,
        userland: Userland,
        *,
        identity: Identity = Identity(),  # frozen
        faults: Faults = Faults(),  # noqa: B008  # frozen
        authenticates: bool = False,
    ) -> None:
        self.userland = userland
        self.identity = identity
        self.mishaps = Mishaps(faults)
        self.authenticates = authenticates or faults.unauthorized
        self.known_keys: list[RSAPublicKey] = []
        self.listening: dict[str, tuple[str, asyncio.Server]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="adbd", daemon=True)
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def unplug(self) -> None:
        """The phone is gone: connections end, and nothing listens any more."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)

    def stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _start(self) -> None:
        for port in random.sample(PORTS, 100):
            with contextlib.suppress(OSError):  # taken
                self._server = await asyncio.start_server(self._on_connection, "127.0.0.1", port, limit=1 << 22)
                self.port = port
                return
        raise RuntimeError("no free port for a phone")

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self, reader, writer)
        self._connections[connection] = serving = asyncio.ensure_future(connection.serve())
        await serving
        del self._connections[connection]

    async def _stop(self) -> None:
        self.stop_listening()
        for _, server in self.listening.values():
            server.close()
        for connection in self._connections:
            connection.drop()
        await asyncio.gather(*self._connections.values())
