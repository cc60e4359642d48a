"""One connection of the OpenSSH client to a board, shared by every command; the board itself cleans up when it ends."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from edge.errors import DeviceError, ToolchainMissingError, UsageError
from edge.machine import Finished

CONNECT_WITHIN_S = 10
OPEN_WITHIN_S = 30.0
"""Connecting, the keys, the user's shell and a folder, all together."""
ANSWER_WITHIN_S = 30.0
LEAVE_WITHIN_S = 10.0
"""For the board to end a program and remove the folder before its connection is cut."""

ADDRESS = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.+-]*)@)?"
    r"(?:(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]*)|\[(?P<ipv6>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?)\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
OPTIONS = (
    *("-T", "-x", "-a", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_WITHIN_S}", "-o", "LogLevel=ERROR"),
    *("-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3"),  # a board that vanished is lost after 30 s
    *("-o", "RemoteCommand=none", "-o", "ClearAllForwardings=yes", "-o", "ControlPersist=no"),
)
"""What a person's own configuration must not decide; all else in it holds: names, keys, jump hosts, ciphers."""
ALONE = ("-o", "ControlMaster=no", "-o", "ProxyCommand=false")
"""Of a client that shares the connection: where that is gone it fails, and does not silently make its own."""

KEEPER = r"""
trap : HUP TERM
folder=$(mktemp -d "${TMPDIR:-/tmp}/edge.XXXXXX") || exit 1
printf '\nedge-folder %s\n' "$folder"
read -r _
rm -rf -- "$folder" || { sleep 1; rm -rf -- "$folder"; }
"""
"""Lives as long as the connection: its input ends however that ends, and the folder goes with it."""
FOLDER = re.compile(r"edge-folder (/.+)")
ENDED = re.compile(r"\nedge-exit ([0-9]{1,3})\n\Z")
"""The end of a command's errors. Without it the command did not end, whatever ssh's own exit code says."""

REFUSALS = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "its key is another than before: find out why, then mend known_hosts"),
    ("Host key verification failed", "connect once by hand, compare the fingerprint and answer yes: {by_hand}"),
    ("Permission denied", "put your public key there with ssh-copy-id, and see that {by_hand} asks for nothing"),
    ("Could not resolve", "is its name spelled right, or in your ~/.ssh/config?"),
    ("", "is it on and in this network? try {by_hand}"),
)
"""What ssh says when it cannot connect, and what helps; the first that fits."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a board is; what is empty or 0 is ssh's own default or configuration."""

    host: str
    user: str = ""
    port: int = 0

    @classmethod
    def parsed(cls, text: str) -> Address:
        """`[USER@]HOST[:PORT]`; an IPv6 address in brackets. Raises `UsageError` for all else: options, commands, spaces."""
        found = ADDRESS.fullmatch(text)
        port = int(found["port"] or 0) if found else 0
        if found is None or port > 65535:
            raise UsageError(f"{text!r} is no board", hint="write linux:USER@HOST, linux:USER@HOST:PORT or USER@[IPV6]")
        return cls(found["host"] or found["ipv6"], found["user"] or "", port)

    @property
    def arguments(self) -> tuple[str, ...]:
        """As ssh takes them; the host is last, and never an option."""
        port = ("-p", str(self.port)) if self.port else ()
        user = ("-l", self.user) if self.user else ()
        return (*port, *user, "--", self.host)


class Connection:
    """Made by `opened`. Commands may run side by side over it; each gets a shell of its own."""

    def __init__(self, address: Address, control: Path, keeper: subprocess.Popen[bytes], folder: PurePosixPath) -> None:
        self.address = address
        self.folder = folder
        self._control = control
        self._keeper = keeper

    @classmethod
    def opened(cls, address: Address, at_end: str = "true") -> Connection:
        """Connect and make a folder there; the script `at_end` runs there when both go.

        Raises `DeviceError`, and `ToolchainMissingError` without an ssh.
        """
        control = Path(tempfile.mkdtemp(prefix="edge-"))
        keeper = _started(
            (*OPTIONS, "-M", "-S", _control_path(control), *address.arguments, _remote(KEEPER + at_end)),
            stdin=subprocess.PIPE, stderr=control / "errors",
        )  # fmt: skip
        try:
            return cls(address, control, keeper, _folder_made(keeper, control / "errors", address))
        except BaseException:
            _hung_up(keeper, 0)
            shutil.rmtree(control, ignore_errors=True)
            raise

    def close(self) -> None:
        """End the connection, and with it everything on the board. Never raises; a second time does nothing."""
        _hung_up(self._keeper, LEAVE_WITHIN_S)
        shutil.rmtree(self._control, ignore_errors=True)

    def cut(self) -> None:
        """End it at once, whatever the board does."""
        self._keeper.kill()

    def ask(
        self,
        script: str,
        *arguments: str,
        within_s: float = ANSWER_WITHIN_S,
        stdin: IO[bytes] | int = subprocess.DEVNULL,
        stdout: IO[bytes] | int = subprocess.PIPE,
    ) -> Finished:
        """Run a short shell script on the board, with `arguments` as `$1`, … Raises `DeviceError` past the time limit."""
        with self.client(script, *arguments, stdin=stdin, stdout=stdout) as (client, errors):
            try:
                said, _ = client.communicate(timeout=within_s)
            except subprocess.TimeoutExpired:
                raise DeviceError(
                    f"{self.address.host} did not answer within {within_s:.0f} s", hint="is it busy, or its disk slow?"
                ) from None
            return self.finished((said or b"").decode(errors="replace"), errors)

    @contextmanager
    def client(
        self, script: str, *arguments: str, stdin: IO[bytes] | int, stdout: IO[bytes] | int = subprocess.PIPE
    ) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        """A client that runs a script over the connection, and the file of its errors; it is gone after the block."""
        if self._keeper.poll() is not None:
            raise self._lost("")
        with tempfile.TemporaryDirectory(prefix="errors-", dir=self._control) as folder:
            errors = Path(folder) / "errors"
            shared = (*OPTIONS, *ALONE, "-S", _control_path(self._control), *self.address.arguments)
            client = _started((*shared, _remote(script, *arguments)), stdin=stdin, stdout=stdout, stderr=errors)
            try:
                yield client, errors
            finally:
                _hung_up(client, LEAVE_WITHIN_S if client.stdin is not None else 0)

    def finished(self, stdout: str, errors: Path) -> Finished:
        """What a client that has ended leaves. Raises `DeviceError` where the command on the board did not end."""
        stderr = errors.read_text(encoding="utf-8", errors="replace")
        end = ENDED.search(stderr)
        if end is None:
            raise self._lost(stderr)
        return Finished(int(end[1]), stdout, stderr[: end.start()])

    def _lost(self, stderr: str) -> DeviceError:
        said = stderr.strip().splitlines()
        return DeviceError(
            f"the connection to {self.address.host} was lost{f': {said[-1][:200]}' if said else ''}",
            hint="did it lose power, or its network? what ran there is ended and removed by the board itself",
        )


def _remote(script: str, *arguments: str) -> str:
    """One line for the login shell of the board, whichever it is: a POSIX shell with our script."""
    whole = f"({script})\nprintf '\\nedge-exit %d\\n' $? >&2"
    return f"exec sh -c {shlex.join((whole, 'sh', *arguments))}"


def _started(
    arguments: tuple[str, ...], *, stderr: Path, stdin: IO[bytes] | int, stdout: IO[bytes] | int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    ssh = shutil.which("ssh")
    if ssh is None:
        raise ToolchainMissingError("there is no ssh on this machine", hint="apt-get install openssh-client")
    with stderr.open("wb") as errors:  # in a session of its own: Ctrl-C is for us, who then end it in order
        return subprocess.Popen(
            (ssh, *arguments), stdin=stdin, stdout=stdout, stderr=errors, start_new_session=True, close_fds=True
        )


def _folder_made(keeper: subprocess.Popen[bytes], errors: Path, address: Address) -> PurePosixPath:
    """The folder that the keeper has made. Raises `DeviceError` with what ssh says."""
    assert keeper.stdout is not None
    late = threading.Timer(OPEN_WITHIN_S, keeper.kill)
    late.start()
    try:
        for line in keeper.stdout:  # what a login shell greets with comes before
            if found := FOLDER.fullmatch(line.decode(errors="replace").rstrip("\n")):
                return PurePosixPath(found[1])
        keeper.wait()
    finally:
        late.cancel()
    said = ENDED.sub("", errors.read_text(encoding="utf-8", errors="replace"))
    lines = said.strip().splitlines() or [f"nothing within {OPEN_WITHIN_S:.0f} s"]
    by_hand = shlex.join(("ssh", *(argument for argument in address.arguments if argument != "--")))
    hint = next(hint for needle, hint in REFUSALS if needle in said)
    raise DeviceError(f"cannot connect to {address.host}: {lines[-1][:200]}", hint=hint.format(by_hand=by_hand))


def _hung_up(client: subprocess.Popen[bytes], within_s: float) -> None:
    """End a client: first its input, at whose end the board stops what it runs for it; then, after a while, itself."""
    with suppress(OSError):
        if client.stdin is not None:
            client.stdin.close()
    try:
        client.wait(within_s)
    except subprocess.TimeoutExpired:
        client.kill()
        client.wait()
    if client.stdout is not None:
        client.stdout.close()


def _control_path(control: Path) -> str:
    return str(control / "c").replace("%", "%%")
