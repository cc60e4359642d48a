"""What the end of a runner's process says, before its output is read."""

from __future__ import annotations

import signal

from edge.errors import DeviceError, EdgeError, NotExecutableHereError
from edge.machine import Finished

CANNOT_START = {126: "the file is not for this device", 127: "it, or a library that it needs, is not there"}
"""What a shell means by an exit code."""
SIGNALS = {int(each): each.name for each in signal.Signals}
TAIL_LINES = 4


def require_success(finished: Finished, runner: str) -> None:
    """Raise for a process that did not end well: `NotExecutableHereError` where it never began, else `DeviceError`."""
    code = finished.exit_code
    if code == 0:
        return
    if code in CANNOT_START:
        raise NotExecutableHereError(f"{runner} does not start here: {CANNOT_START[code]}", hint=_tail(finished))
    if code - 128 in SIGNALS:
        name = SIGNALS[code - 128]
        why = " (a device short of memory kills so)" if code == 128 + signal.SIGKILL else ""
        raise DeviceError(f"{runner} was ended by {name}{why}", hint=_tail(finished))
    raise DeviceError(f"{runner} failed with exit code {code}", hint=_tail(finished))


def rubbish(runner: str, what: str, finished: Finished) -> EdgeError:
    """The error of a runner whose output it could not have written."""
    return DeviceError(f"{runner}'s output makes no sense: {what}", hint=_tail(finished))


def _tail(finished: Finished) -> str:
    lines = [line for line in (finished.stdout + "\n" + finished.stderr).splitlines() if line.strip()]
    return (
        "\n".join(("it wrote:", *(f"  | {line[:200]}" for line in lines[-TAIL_LINES:])))
        if lines
        else "it wrote nothing"
    )
