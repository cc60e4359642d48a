"""A Linux board behind ssh, as a machine: its files and processes over one connection of the OpenSSH client."""

from __future__ import annotations

import shlex
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path, PurePosixPath

from devices import _linux_state as linux
from devices._ssh_connection import ANSWER_WITHIN_S, LEAVE_WITHIN_S, Address, Connection
from edge import whole
from edge.device_state import DeviceInfo, DeviceState
from edge.errors import DeviceError
from edge.machine import Finished, Line, Machine

SLOWEST_BYTES_PER_S = 100_000
"""A connection slower than this has stalled. Ours: a tenth of the slowest Wi-Fi."""

SAME = """
same() { [ -f "$1" ] && [ "$(wc -c <"$1")" -eq "$2" ] && [ "$(sha256sum <"$1")" = "$3  -" ]; }
"""
"""Whether a file has so many bytes and this sha256; the arguments of `CHECK` and `SEND` are these three, and its mode."""
KEPT = '"${XDG_CACHE_HOME:-$HOME/.cache}/edge-kept"'
"""The board's folder for what is kept for the next time, each file under its sha256."""
CHECK = f"""{SAME}
same "$1" "$2" "$3" || {{ same {KEPT}/"$3" "$2" "$3" && mkdir -p "$(dirname "$1")" && cp {KEPT}/"$3" "$1"; }} || exit 1
chmod "$4" "$1"
"""
SEND = f"""{SAME}
trap 'rm -f -- "$1.part"' EXIT
mkdir -p "$(dirname "$1")" && cat >"$1.part" || exit 1
same "$1.part" "$2" "$3" || {{ echo "not all of it arrived" >&2; exit 1; }}
chmod "$4" "$1.part" && mv -f -- "$1.part" "$1" || exit 1
"""
KEEP = f"""{SEND}
mkdir -p {KEPT} && cp "$1" {KEPT}/"$3.part" && mv -f {KEPT}/"$3.part" {KEPT}/"$3"
true
"""
FORGET = f"rm -rf -- {KEPT}"
RUN = """
cd -- "$1" || exit 1
shift
exec 3<&0
setsid "$@" </dev/null 3<&- &
group=$!
end() { kill -s KILL -- "-$group" || kill -s KILL "$group"; } 2>/dev/null
{ read -r _ <&3; end; } >/dev/null 2>&1 &
watcher=$!
wait "$group"
code=$?
kill "$watcher" 2>/dev/null
end
exit "$code"
"""
"""Runs a command as a group of processes of its own. The client's input never says a word: when it ends, by us or because the
connection is gone, so does the group."""


class SshMachine(Machine):
    """The board at `[USER@]HOST[:PORT]`. Its folder lives as long as the connection: all that is pushed goes with it.

    With `keep`, a second copy of it stays on the board for the next time; without, such copies go too.
    """

    def __init__(self, which: str, *, keep: bool = False) -> None:
        self._send, self._at_end = (KEEP, "true") if keep else (SEND, FORGET)
        self._which = which
        self._address = Address.parsed(which)
        self._opened: Connection | None = None
        self._opening = threading.Lock()

    @property
    def _connection(self) -> Connection:
        with self._opening:
            if self._opened is None:
                self._opened = Connection.opened(self._address, self._at_end)
            return self._opened

    @property
    def folder(self) -> PurePosixPath:
        return self._connection.folder

    @cached_property
    def _identity(self) -> str:
        return self._connection.ask(linux.IDENTITY).stdout

    def info(self) -> DeviceInfo:
        return linux.info(f"linux:{self._which}", self._identity)

    @property
    def emulated(self) -> bool:
        """Whether the board says that a program plays its processor."""
        return linux.emulated(self._identity)

    def state(self) -> DeviceState:
        return linux.state(time.monotonic(), self._connection.ask(linux.STATE).stdout)

    def push(self, local: Path, remote: PurePosixPath) -> None:
        size = local.stat().st_size
        wanted = (str(remote), str(size), whole.sha256(local), f"{local.stat().st_mode & 0o777:o}")
        if self._connection.ask(CHECK, *wanted, within_s=_within_s(size)).exit_code == 0:
            return
        with local.open("rb") as file:
            sent = self._connection.ask(self._send, *wanted, stdin=file, within_s=_within_s(size))
        if sent.exit_code != 0:
            raise self._refused(f"take {local.name} ({size} bytes)", sent)

    def pull(self, remote: PurePosixPath, local: Path) -> None:
        told = self._connection.ask('wc -c <"$1" && sha256sum <"$1"', str(remote))
        if told.exit_code != 0:
            raise self._refused(f"give {remote.name}", told)
        size, digest, _ = told.stdout.split()[-3:]  # what a login shell greets with comes before
        with whole.appearing(local) as staged:
            with staged.open("wb") as file:
                given = self._connection.ask('cat -- "$1"', str(remote), stdout=file, within_s=_within_s(int(size)))
            if given.exit_code != 0:
                raise self._refused(f"give {remote.name}", given)
            if whole.sha256(staged) != digest:
                raise DeviceError(
                    f"{remote.name} changed on its way from {self._address.host}",
                    hint="does something write to it, or does the login shell print a greeting without a terminal?",
                )

    def run(
        self,
        command: Sequence[str],
        *,
        timeout_s: float,
        environment: Mapping[str, str] = {},
        on_line: Line | None = None,
    ) -> Finished:
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
        connection = self._connection
        with connection.client(exports + RUN, str(self.folder), *command, stdin=subprocess.PIPE) as (client, errors):
            with _ended_after(timeout_s, client, connection) as late:
                stdout = "".join(_heard(client, on_line))
            if late.is_set():
                raise DeviceError(
                    f"{PurePosixPath(command[0]).name} took longer than {timeout_s:g} s on {self._address.host}",
                    hint="it was ended there; allow more with --timeout SECONDS",
                )
            return connection.finished(stdout, errors)

    def remove(self, remote: PurePosixPath) -> None:
        gone = self._connection.ask('rm -f -- "$1"', str(remote))
        if gone.exit_code != 0:
            raise self._refused(f"remove {remote.name}", gone)

    def prepare(self) -> None:
        """Nothing: clocks and governors of a board are root's, and its screen, if any, costs a program little."""

    def leave(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def _refused(self, what: str, finished: Finished) -> DeviceError:
        said = finished.stderr.strip().splitlines() or ["it does not say why"]
        return DeviceError(
            f"{self._address.host} does not {what}: {said[-1][:200]}", hint=f"look at {self.folder} there: df, ls -l"
        )


def _heard(client: subprocess.Popen[bytes], on_line: Line | None) -> Iterator[str]:
    """The lines of a client, until it has ended."""
    assert client.stdout is not None
    for line in client.stdout:
        text = line.decode(errors="replace")
        if on_line is not None:
            on_line(text.rstrip("\n"))
        yield text
    client.wait()


@contextmanager
def _ended_after(within_s: float, client: subprocess.Popen[bytes], connection: Connection) -> Iterator[threading.Event]:
    """End what the client runs when the block takes longer, and say so; cut the connection where that does not help."""
    late, over = threading.Event(), threading.Event()

    def watch() -> None:
        if over.wait(within_s):
            return
        late.set()
        if client.stdin is not None:
            with suppress(OSError):
                client.stdin.close()
        if not over.wait(LEAVE_WITHIN_S):
            connection.cut()

    watcher = threading.Thread(target=watch, name="time limit", daemon=True)
    watcher.start()
    try:
        yield late
    finally:
        over.set()
        watcher.join()


def _within_s(size: int) -> float:
    return ANSWER_WITHIN_S + size / SLOWEST_BYTES_PER_S
