"""Starts the adb program, never without an end, and says in our words what it complains of."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from edge.errors import DeviceError, ToolchainMissingError
from edge.machine import Finished, Line

BINARY = "ADB"
"""Names the program, where it is not in PATH."""
INSTALL = (
    "apt-get install adb (Debian, Ubuntu), brew install android-platform-tools (macOS), or set ADB=/path/to/adb "
    "of Android's SDK platform-tools"
)
MOST_BYTES = 1 << 26
"""Of a program's output: more is not the report of a runner."""
READY = "device"

ALLOW = "unlock it and tap Allow; where it does not ask: Developer options, Revoke USB debugging authorizations, plug in anew"
RULES = (
    "apt-get install android-sdk-platform-tools-common, be in group plugdev (usermod -aG plugdev $USER), plug in anew"
)
ROOM = "free some space under /data"
WRITE = "edge writes below /data/local/tmp: is the device's user allowed to?"
REFUSALS: tuple[tuple[str, str, str], ...] = (
    ("unauthorized|authorizing|failed to authenticate", "has not allowed this computer to debug it", ALLOW),
    ("no permissions|insufficient permissions", "cannot be opened by this user", RULES),
    ("No space left on device", "is full", ROOM),
    ("Read-only file system|[Pp]ermission denied", "does not let us write", WRITE),
)
"""What will not go away by trying again: a pattern in adb's complaint, what it means, and what would work."""
STATES: Mapping[str, tuple[str, str]] = {
    "unauthorized": REFUSALS[0][1:],
    "authorizing": REFUSALS[0][1:],
    "no permissions": REFUSALS[1][1:],
    "offline": ("is offline", "plug it in anew, or turn its USB debugging off and on; over Wi-Fi: adb disconnect, adb connect"),
    "recovery": ("is in recovery mode", "start Android on it: adb reboot"),
    "sideload": ("waits for an update", "start Android on it: adb reboot"),
    "bootloader": ("is in its boot loader", "start Android on it: fastboot reboot"),
}  # fmt: skip


def program() -> Path:
    """The adb program. Raises `ToolchainMissingError`."""
    named = os.environ.get(BINARY)
    found = shutil.which(named or "adb")
    if found is None:
        what = f"{BINARY}={named} is not a program" if named else "adb is not installed"
        raise ToolchainMissingError(what, hint=INSTALL)
    return Path(found)


def call(*arguments: str, timeout_s: float, on_line: Line | None = None) -> Finished:
    """Run adb to its end. Raises `TimeoutError` after it was killed, and `DeviceError` when it prints without end."""
    return asyncio.run(_call((str(program()), *arguments), timeout_s, on_line))


def states(timeout_s: float) -> dict[str, str]:
    """Of all that adb knows, by serial: `device` where it is ready. Raises `DeviceError`."""
    try:
        listed = call("devices", timeout_s=timeout_s)
    except TimeoutError:
        raise DeviceError(f"adb did not list devices within {timeout_s:g} s", hint="adb kill-server") from None
    if listed.exit_code != 0:
        raise DeviceError(f"adb cannot list devices: {listed.stderr.strip()}", hint="adb kill-server")
    pairs = (line.rstrip().split("\t", 1) for line in listed.stdout.splitlines()[1:])
    return {pair[0].strip(): _state(pair[1]) for pair in pairs if len(pair) == 2}


def refusal(serial: str, complaint: str) -> DeviceError | None:
    """The error that adb's complaint means, where another try would not help."""
    for pattern, what, hint in REFUSALS:
        if re.search(pattern, complaint):
            return DeviceError(f"{serial} {what}", hint=hint)
    return None


def not_ready(serial: str, known: Mapping[str, str]) -> DeviceError:
    """Why a device that is not ready is not."""
    if serial not in known:
        others = ", ".join(sorted(known)) or "nothing"
        return DeviceError(f"there is no device {serial!r}; attached: {others}", hint="see adb devices -l")
    what, hint = STATES.get(known[serial], (f"is {known[serial]}", "see adb devices -l"))
    return DeviceError(f"{serial} {what}", hint=hint)


class Ending:
    """A line behind a command's output that nothing else can have printed: without it the output is cut off."""

    def __init__(self, on_line: Line | None) -> None:
        self._mark = f"edge-{secrets.token_hex(8)}:"
        self._told, self._blank = on_line, False
        self.script = f"; e=$?; echo; echo {self._mark}$e"

    def on_line(self, line: str) -> None:
        """Pass it on, but for the end and the empty line before it."""
        if self._told is None or line.startswith(self._mark):
            return
        if self._blank:
            self._told("")
        self._blank = line == ""
        if not self._blank:
            self._told(line)

    def finished(self, said: Finished) -> Finished | None:
        """With the program's own exit code; None where the end is missing and the shell was not killed."""
        match = re.search(rf"\n{self._mark}([0-9]{{1,3}})\s*$", said.stdout)
        if match is not None:
            return Finished(int(match[1]), said.stdout[: match.start()], said.stderr)
        return said if 128 < said.exit_code < 255 else None


def _state(text: str) -> str:
    """Without adb's explanations."""
    return "no permissions" if text.startswith("no permissions") else text.strip()


async def _call(command: tuple[str, ...], timeout_s: float, on_line: Line | None) -> Finished:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe,
        start_new_session=True,  # Ctrl-C is ours to handle: the device is tidied up through adb
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    reading = [asyncio.ensure_future(_text(*each)) for each in ((process.stdout, on_line), (process.stderr, None))]
    try:
        async with asyncio.timeout(timeout_s):
            stdout, stderr = await asyncio.gather(*reading)
            code = await process.wait()
    except BaseException:
        with suppress(ProcessLookupError):
            process.kill()
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        await asyncio.gather(_drained(process.stdout), _drained(process.stderr))
        await process.wait()
        raise
    return Finished(code, stdout, stderr)


async def _drained(reader: asyncio.StreamReader) -> None:
    """Read what a killed process had written: until then its pipe stays open, and nobody may wait for it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            while await reader.read(1 << 16):
                pass


async def _text(reader: asyncio.StreamReader, on_line: Line | None) -> str:
    """All of it; lines end by LF, though a terminal of the device says CR LF."""
    everything, rest = bytearray(), b""
    while chunk := await reader.read(1 << 16):
        everything += chunk
        if len(everything) > MOST_BYTES:
            raise DeviceError(f"the program printed more than {MOST_BYTES >> 20} MiB", hint="use another runner")
        if on_line is not None:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                on_line(_decoded(line))
    if on_line is not None and rest:
        on_line(_decoded(rest))
    return _decoded(bytes(everything))


def _decoded(data: bytes) -> str:
    return re.sub(rb"\r+(\n|$)", rb"\1", data).decode("utf-8", "replace")
