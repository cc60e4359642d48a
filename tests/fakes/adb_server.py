"""The real adb client with a server, a port and keys of its own, so that no test touches a person's."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

STARTS_WITHIN_S = 20


@dataclass(frozen=True, slots=True)
class AdbServer:
    """From `with` to the end of the block. `environment` is what a client needs to find it."""

    home: Path
    port: int

    @classmethod
    def in_folder(cls, home: Path) -> Self:
        """On a port that is free now."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return cls(home, free.getsockname()[1])

    @property
    def environment(self) -> Mapping[str, str]:
        home = str(self.home)
        ours = {"HOME": home, "ANDROID_USER_HOME": home, "TMPDIR": home, "ANDROID_ADB_SERVER_PORT": str(self.port)}
        return {key: value for key, value in os.environ.items() if not key.startswith("ANDROID_")} | ours

    def __enter__(self) -> Self:
        self.adb("start-server", timeout_s=STARTS_WITHIN_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.adb("kill-server")

    def adb(
        self, *arguments: str | Path, timeout_s: float = 60, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the client; raises `subprocess.TimeoutExpired`, after killing it, when it takes longer."""
        command = [shutil.which("adb") or "adb", *map(str, arguments)]
        return subprocess.run(
            command, input=stdin, capture_output=True, timeout=timeout_s, env=dict(self.environment), check=False
        )

    def connect(self, serial: str, state: str = "device") -> None:
        """Connect, and wait for the state: what the client prints says little (devices sheet §1.1)."""
        self.adb("connect", serial)
        latest = time.monotonic() + STARTS_WITHIN_S
        while self.states().get(serial) != state:
            if time.monotonic() > latest:
                raise TimeoutError(f"{serial} is not {state} but {self.states().get(serial)}")
            time.sleep(0.02)

    def states(self) -> Mapping[str, str]:
        """Of every device that the server knows, by serial."""
        lines = self.adb("devices").stdout.decode().splitlines()[1:]
        return dict(line.split("\t") for line in lines if line)
