"""One command line on several devices at once, each in a process of its own: what happens to one does not touch the others."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge import plugins
from edge.errors import DeviceError, NotExecutableHereError, UsageError

TIDY_S = 60.0
"""Seconds for a process that is interrupted to leave its device as it was found."""


def able(path: Path) -> tuple[str, ...]:
    """The addresses of all attached devices but this machine that can run the file. Raises `UsageError`, `DeviceError`."""
    if not path.exists():
        raise UsageError(f"there is no {path}", hint="give a file or folder that `edge export` wrote")
    others = [kind for kind in plugins.names("devices") if not plugins.device(kind).here]
    ready = [info for kind in others for info in plugins.device(kind).attached() if info.state == "ready"]
    if not ready:
        raise DeviceError("no device is attached and ready", hint="see edge devices; this machine is --device host")
    found = tuple(info.id for info in ready if plugins.device(info.id).can_run(path))
    if not found:
        raise NotExecutableHereError(
            f"none of {', '.join(info.id for info in ready)} can run {path.name}",
            hint="edge profile --device host runs all that edge exports",
        )
    return found


def each(commands: Sequence[Sequence[str]]) -> list[Mapping[str, Any]]:
    """The JSON documents that these commands of `edge` print, run all at once; of one that fails, that of its error.

    Each command says `--json`.
    """
    running = [
        subprocess.Popen(
            [sys.executable, "-P", "-m", "edge", *command], stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is passed on below, once
        )
        for command in commands
    ]  # fmt: skip
    try:
        return [_document(process) for process in running]
    finally:
        for process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)  # not SIGINT, which a command in the background ignores
        for process in running:
            _ended(process)


def _document(process: subprocess.Popen[bytes]) -> Mapping[str, Any]:
    printed = process.communicate()[0]
    try:
        document = json.loads(printed)
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    return {
        "code": 1,
        "error": f"a process of edge ended with exit code {process.returncode} and no result",
        "hint": "",
    }


def _ended(process: subprocess.Popen[bytes]) -> None:
    try:
        process.communicate(timeout=TIDY_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
