"""A device behind adb: its files and processes, whatever happens to the connection meanwhile."""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from shlex import join, quote
from typing import TypeVar

from devices import _adb_client as adb
from devices import _android_state as android
from edge import whole
from edge.device_state import DeviceInfo, DeviceState
from edge.errors import DeviceError, EdgeError, InternalError
from edge.machine import Finished, Line, Machine

ROOM = PurePosixPath("/data/local/tmp")
"""The one place in which the shell's user can write and execute (devices sheet §1.1)."""
KEPT = ROOM / "edge-kept"
"""Files by their sha256, where the user wants them kept for the next time."""
STAYS_ON = "stay_on_while_plugged_in"
STAY_ON = f"settings get global {STAYS_ON}"
COME_BACK = "a loose cable, a phone that sleeps, or a Wi-Fi that drops: see adb devices, then start again"
LOG = logging.getLogger(__name__)

_FORGOTTEN = f"find {ROOM} -maxdepth 1 -name 'edge-????????' -mtime +0 -exec rm -rf '{{}}' ';'"
"""Removes our folders of a day ago or more: of devices that were unplugged for good."""
_END = """for f in {}; do
  read p <$f || continue
  kill -9 -$p || kill -9 $p
  n=0; while kill -0 $p && [ $n -lt 20 ]; do sleep 0.1; n=$((n+1)); done
  rm -f $f
done 2>/dev/null"""
"""In our folder: ends the programs whose numbers these files hold, and waits until they are gone."""
PIDS = ".pid-*"
CONNECT_EVERY_S = 1.0
MOST_PULLED = 1 << 25
"""Bytes: a result is as large at most, or takes longer than we wait."""

Result = TypeVar("Result")


class _LostError(DeviceError):
    """The connection ended in the middle."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for an answer to a small command, and for a lost device to come back; and the slowest link worth waiting for."""

    answer_s: float = 20
    return_s: float = 10
    bytes_per_s: float = 500_000


class AdbMachine(Machine):
    """The device with this serial number.

    A device that vanishes in the middle is waited for and the work repeated, once. The exit code of every command is
    printed behind its output: adb itself says 0 when the connection ends, and tells none of phones from before Android 7.
    """

    def __init__(self, serial: str, *, keep: bool = False, patience: Patience = Patience()) -> None:
        self.serial = serial
        self._keep = keep
        self._patience = patience
        self._folder = ROOM / f"edge-{secrets.token_hex(4)}"
        self._restore: list[str] = []
        self._reconnecting = threading.Lock()
        self._times_lost = 0
        self._has_folder = False

    @property
    def folder(self) -> PurePosixPath:
        return self._folder

    @cached_property
    def _identity(self) -> str:
        """What it says of itself; the first use connects. Raises the `DeviceError` of its state."""
        known = adb.states(self._patience.answer_s)
        state = known.get(self.serial)
        if state == "offline" or (state is None and self._over_tcp):
            try:
                self._reconnect(self._times_lost)
            except _LostError:
                raise adb.not_ready(self.serial, known) from None
        elif state != adb.READY:
            raise adb.not_ready(self.serial, known)
        return self._shell(android.IDENTITY).stdout

    @property
    def _over_tcp(self) -> bool:
        return re.fullmatch(r"\S+:[0-9]+", self.serial) is not None

    def info(self) -> DeviceInfo:
        return android.info(self._identity, self.serial)

    def emulated(self) -> bool:
        """Whether the device says of itself that it is an emulator."""
        return android.emulated(android.properties(self._identity))

    def state(self) -> DeviceState:
        """Never waits for a lost device: whoever runs something on it does."""
        at_s = time.monotonic()
        return android.state(self._shell_once(android.LOOK, self._patience.answer_s).stdout, at_s)

    def push(self, local: Path, remote: PurePosixPath) -> None:
        digest, mode = whole.sha256(local), f"{local.stat().st_mode & 0o777:o}"
        target, part, kept = quote(str(remote)), quote(f"{remote}.part"), quote(str(KEPT / digest))
        self._make_folder()
        there = self._shell(
            f'same() {{ case "$(sha256sum <"$1")" in {digest}*) ;; *) false ;; esac; }}\n'
            f"mkdir -p {quote(str(remote.parent))}\n"
            f"(same {target} || {{ same {kept} && cp {kept} {target}; }}) 2>/dev/null && chmod {mode} {target}"
        )
        if there.exit_code == 0:
            return
        self._copy("push", str(local.resolve()), f"{remote}.part", local.stat().st_size)
        keep = f"mkdir -p {KEPT} && cp {target} {kept}.part && mv -f {kept}.part {kept}" if self._keep else "true"
        made = self._shell(f"chmod {mode} {part} && mv -f {part} {target} && {{ {keep}; true; }}")
        if made.exit_code != 0:
            raise DeviceError(f"{self.serial} does not take {remote}: {made.stderr or made.stdout}", hint=adb.WRITE)

    def pull(self, remote: PurePosixPath, local: Path) -> None:
        with whole.appearing(local) as staged:
            self._copy("pull", str(remote), str(staged), MOST_PULLED)

    def run(
        self,
        command: Sequence[str],
        *,
        timeout_s: float,
        environment: Mapping[str, str] = {},  # read only
        on_line: Line | None = None,
    ) -> Finished:
        """The program gets a session of its own, so that all of it can be ended."""
        self._make_folder()
        pid = f".pid-{secrets.token_hex(4)}"
        alone = f"$(command -v setsid) sh -c 'echo $$ >{pid}; exec \"$@\"' sh {join(command)} </dev/null"
        script = (
            f"cd {self.folder} || exit\n{_END.format(pid)}\n"  # of the first try, where this is the second
            f"{_assigned(environment)} {alone}; e=$?; rm -f {pid}; exit $e"
        )
        try:
            finished = self._shell(script, timeout_s, on_line)
        except BaseException:
            self._end_programs()
            raise
        if finished.exit_code > 128:  # the shell may have been killed and not the program
            self._end_programs()
        return finished

    def remove(self, remote: PurePosixPath) -> None:
        self._shell(f"rm -f {quote(str(remote))}")

    def prepare(self) -> None:
        """Keep the screen on, and wake it."""
        look = f"echo '{android.SECTION}stay'; {STAY_ON}; echo '{android.SECTION}power'; dumpsys power"
        before = android.sections(self._shell(look).stdout)
        stays = before.get("stay", "").strip()
        if re.fullmatch("[0-9]+|null", stays) is None:
            return  # not Android: there is no screen to keep on
        put = f"settings put global {STAYS_ON} {stays}"
        self._restore.append(f"settings delete global {STAYS_ON}" if stays == "null" else put)
        if android.awake(before.get("power", "")) is False:
            self._restore.append("input keyevent 223")  # KEYCODE_SLEEP
        self._shell("svc power stayon true; input keyevent 224")  # KEYCODE_WAKEUP

    def leave(self) -> None:
        if not self._has_folder and not self._restore:
            return
        gone = f"{self.folder}" if self._keep else f"{self.folder} {KEPT}"
        script = "\n".join((*self._restore, f"cd {self.folder} && {{ {_END.format(PIDS)}; }}", f"cd /; rm -rf {gone}"))
        try:
            self._shell(script)
        except (EdgeError, OSError) as error:
            LOG.warning(
                "%s could not be left as it was found (%s). By hand, in adb shell:\n%s", self.serial, error, script
            )
        self._restore.clear()
        self._has_folder = False

    def _make_folder(self) -> None:
        if self._has_folder:
            return
        self._identity  # noqa: B018  # connects, or says why not
        self._has_folder = True  # from here on there may be something to remove
        if self._shell(f"{_FORGOTTEN}\nmkdir -p {self.folder}").exit_code != 0:
            raise DeviceError(f"{self.serial} lets us make no folder in {ROOM}", hint=adb.WRITE)

    def _end_programs(self) -> None:
        with suppress(EdgeError):
            self._shell_once(f"cd {self.folder} && {{ {_END.format(PIDS)}; }}", self._patience.answer_s)

    def _shell(self, script: str, timeout_s: float | None = None, on_line: Line | None = None) -> Finished:
        return self._twice(lambda: self._shell_once(script, timeout_s or self._patience.answer_s, on_line))

    def _shell_once(self, script: str, timeout_s: float, on_line: Line | None = None) -> Finished:
        ending = adb.Ending(on_line)
        said = self._adb("shell", f"({script}\n){ending.script}", timeout_s=timeout_s, on_line=ending.on_line)
        finished = ending.finished(said)
        if finished is None:
            raise self._failure("shell", said)
        return finished

    def _copy(self, verb: str, source: str, target: str, size: int) -> None:
        def once() -> None:
            said = self._adb(
                verb, source, target, timeout_s=self._patience.answer_s + size / self._patience.bytes_per_s
            )
            if said.exit_code != 0:
                raise self._failure(verb, said)

        self._twice(once)

    def _adb(self, *arguments: str, timeout_s: float, on_line: Line | None = None) -> Finished:
        try:
            return adb.call("-s", self.serial, *arguments, timeout_s=timeout_s, on_line=on_line)
        except TimeoutError:
            raise DeviceError(
                f"{self.serial} did not finish within {timeout_s:g} s (adb {arguments[0]})",
                hint="allow more with --timeout SECONDS; or the device stalls: check its cable or its Wi-Fi",
            ) from None

    def _failure(self, verb: str, said: Finished) -> DeviceError:
        """Of what adb itself complains, apart from what a program wrote."""
        lines = [line for line in (said.stderr + said.stdout).splitlines() if line.startswith(("error:", "adb:"))]
        complaint = "\n".join(lines) or "the connection ended"
        if "does not exist" in complaint:
            return DeviceError(f"{self.serial} has no file to {verb}: {complaint}", hint="see the log")
        return adb.refusal(self.serial, complaint) or _LostError(f"{self.serial} vanished: {complaint}", hint=COME_BACK)

    def _twice(self, work: Callable[[], Result]) -> Result:
        """Do it again, once, when the device vanishes and comes back."""
        times_lost = self._times_lost
        try:
            return work()
        except _LostError:
            self._reconnect(times_lost)
        return work()

    def _reconnect(self, times_lost: int) -> None:
        """Wait until the device is ready again; once for all threads that lost it together. Raises `_LostError`."""
        with self._reconnecting:
            if self._times_lost != times_lost:
                return
            self._times_lost += 1
            latest, next_s = time.monotonic() + self._patience.return_s, 0.0
            while time.monotonic() < latest:
                if self._over_tcp and time.monotonic() >= next_s:  # faster than waiting for the server to do it
                    for verb in ("disconnect", "connect"):
                        with suppress(TimeoutError):
                            adb.call(verb, self.serial, timeout_s=self._patience.return_s)
                    next_s = time.monotonic() + CONNECT_EVERY_S
                if adb.states(self._patience.answer_s).get(self.serial) == adb.READY:
                    return
                time.sleep(0.1)
        raise _LostError(
            f"{self.serial} vanished, and was not back within {self._patience.return_s:g} s", hint=COME_BACK
        )


def _assigned(environment: Mapping[str, str]) -> str:
    for name in environment:
        if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) is None:
            raise InternalError(f"{name!r} is no name of a variable")
    return " ".join(f"{name}={quote(value)}" for name, value in environment.items())
