"""A board that is this machine: a real sshd on a port, with keys and a folder of its own, and an ssh that knows only it."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

STARTS_WITHIN_S = 20
SEPARATION = Path("/run/sshd")
"""Where sshd locks up the part of itself that listens; it is absent until Debian's sshd was started once."""
SERVER_CONFIG = """
ListenAddress 127.0.0.1:{port}
HostKey "{home}/host_key"
AuthorizedKeysFile "{home}/user_key.pub"
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv HOME="{home}" TMPDIR="{folder}" XDG_CACHE_HOME="{home}/cache"{environment}
"""
CLIENT_CONFIG = """
Host *
  IdentityFile "{home}/user_key"
  IdentitiesOnly yes
  UserKnownHostsFile "{home}/known_hosts"
  GlobalKnownHostsFile /dev/null
"""


def missing() -> str:
    """What keeps an sshd from running here; empty where nothing does."""
    if any(shutil.which(name, path=_path()) is None for name in ("ssh", "sshd", "ssh-keygen", "setsid")):
        return "openssh-client or openssh-server is not installed: make device-tools"
    return ""


@dataclass(frozen=True, slots=True)
class Sshd:
    """From `with` to the end of the block. `home` has its keys, `folder` is the board's folder for temporary files."""

    home: Path
    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @classmethod
    def started(
        cls, home: Path, folder: Path, within: tuple[str, ...] = (), environment: Mapping[str, str] = {}
    ) -> Self:
        """A command that ends by `exec "$@"` may stand before it, as `within`; `environment` is the board's."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for name in ("host_key", "user_key"):
            subprocess.run(
                ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(home / name)), check=True
            )
        more = "".join(f' {name}="{value}"' for name, value in environment.items())
        (home / "sshd_config").write_text(SERVER_CONFIG.format(home=home, port=port, folder=folder, environment=more))
        (home / "config").write_text(CLIENT_CONFIG.format(home=home))
        host_key = (home / "host_key.pub").read_text()
        (home / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
        if os.getuid() == 0:
            SEPARATION.mkdir(mode=0o755, exist_ok=True)
        sshd = shutil.which("sshd", path=_path())  # by its full path, or it refuses to start
        process = subprocess.Popen(
            (*within, str(sshd), "-D", "-e", "-f", str(home / "sshd_config")), stderr=(home / "log").open("wb")
        )
        return cls(home, folder, port, process)

    def __enter__(self) -> Self:
        latest = time.monotonic() + STARTS_WITHIN_S
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return self
            if self.process.poll() is not None or time.monotonic() > latest:
                raise TimeoutError(f"sshd does not start: {(self.home / 'log').read_text()}")
            time.sleep(0.02)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.signal_all(signal.SIGCONT)
        self.vanish()

    @property
    def which(self) -> str:
        """Its address, as it stands after `linux:`."""
        return f"{getpass.getuser()}@127.0.0.1:{self.port}"

    def client(self) -> Path:
        """A folder for the front of PATH: its ssh is the real one, with our configuration in place of a person's."""
        folder = self.home / "bin"
        folder.mkdir(exist_ok=True)
        script = f'#!/bin/sh\nexec {shutil.which("ssh")} -F "{self.home / "config"}" "$@"\n'
        (folder / "ssh").write_text(script)
        (folder / "ssh").chmod(0o755)
        return folder

    def vanish(self) -> None:
        """End the listener and every connection, as a power cut does; what they started is not told."""
        self.signal_all(signal.SIGKILL)
        self.process.wait()

    def signal_all(self, number: signal.Signals) -> None:
        for pid in (self.process.pid, *_daemons_below(self.process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kept(self) -> tuple[Path, ...]:
        """What lies in the board's folder for later."""
        return tuple(sorted((self.home / "cache").glob("*/*")))

    def left(self) -> tuple[str, ...]:
        """What lies in the board's folder."""
        return tuple(sorted(path.name for path in self.folder.iterdir()))


def running(word: str) -> tuple[int, ...]:
    """The processes of this machine that have `word` among their arguments."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if word.encode() in file.read_bytes().split(b"\0"):
                found.append(int(file.parent.name))
    return tuple(found)


def eventually(condition: object, within_s: float = 20) -> bool:
    """Whether a callable's value becomes true in time."""
    assert callable(condition)
    latest = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > latest:
            return False
        time.sleep(0.02)
    return True


def _daemons_below(parent: int) -> Iterable[int]:
    """The sshd of each connection; not what they run."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = file.read_text().partition("(")[2].rpartition(")")
            if name.startswith("sshd") and int(rest.split()[1]) == parent:
                yield int(file.parent.name)
                yield from _daemons_below(int(file.parent.name))


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
