"""A real PostgreSQL server of Debian's, on a free local port, with a folder, a user and a password of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

STARTS_WITHIN_S = 30
USER, PASSWORD = "ada", "se{c}ret@home"


def missing() -> str:
    """What keeps a PostgreSQL from running here; empty where nothing does."""
    return "" if _program("initdb") and _program("postgres") else "postgresql is not installed: make device-tools"


@dataclass(frozen=True, slots=True)
class Postgresql:
    """From `started` to the end of its block."""

    port: int
    process: subprocess.Popen[bytes]
    numbers: Iterator[int]

    def new_database(self) -> str:
        """The URL of an empty one, password and all."""
        name = f"edge{next(self.numbers)}"
        connection = self.connection()
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name}")
        connection.close()
        return f"postgresql://{USER}:{PASSWORD.replace('@', '%40')}@127.0.0.1:{self.port}/{name}"

    def connection(self) -> Any:
        import psycopg2

        return psycopg2.connect(host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname="postgres")

    def stop(self) -> None:
        """At once: whoever is connected is thrown out."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()


@contextmanager
def started() -> Iterator[Postgresql]:
    """Its folder is not the test's: the server refuses to be root's, and others cannot look into pytest's folders."""
    with tempfile.TemporaryDirectory(prefix="postgresql-") as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        account = _account()
        for path in (folder, folder / "password"):
            shutil.chown(path, *account.values())
        subprocess.run(
            (_program("initdb"), "-D", folder / "data", "-U", USER, "-A", "scram-sha-256", "--pwfile", folder / "password",
             "--encoding", "UTF8", "--locale", "C", "--no-sync"),
            check=True, capture_output=True, cwd=folder, **account, **_alone(account),
        )  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(  # -F: no fsync
                (_program("postgres"), "-F", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-k", folder),
                stdout=log, stderr=log, cwd=folder, **account, **_alone(account),
            )  # fmt: skip
        server = Postgresql(port, process, count())
        try:
            _wait_for(server, folder / "log")
            yield server
        finally:
            server.stop()


def _wait_for(server: Postgresql, log: Path) -> None:
    import psycopg2

    latest = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            server.connection().close()
        except psycopg2.OperationalError:
            if server.process.poll() is not None or time.monotonic() > latest:
                raise TimeoutError(f"postgres does not start: {log.read_text()}") from None
            time.sleep(0.05)
        else:
            return


def _account() -> dict[str, Any]:
    """Whom the server runs as: this user, or nobody in place of root."""
    if os.getuid() != 0:
        return {"user": os.getuid(), "group": os.getgid()}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}


def _alone(account: dict[str, Any]) -> dict[str, Any]:
    """Without root's further groups, which nobody but root may drop."""
    return {"extra_groups": ()} if account["user"] != os.getuid() else {}


def _program(name: str) -> str | None:
    """Debian keeps the server's programs off the PATH, in a folder for each version."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *map(str, reversed(versions))]))
