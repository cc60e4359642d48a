"""Runners that the vendors build and the user brings: given by path, or put into the cache once."""

from __future__ import annotations

import os
from pathlib import Path

from devices._runner import Program
from devices._runners import native
from devices._runners.target import target_of
from edge import whole
from edge.device_state import DeviceInfo
from edge.errors import ToolchainMissingError


def brought(name: str, given: Path | None, info: DeviceInfo, how: str) -> Program:
    """The runner `name` for this device; such a file tells no version, so its hash does. Raises `ToolchainMissingError`.

    `how` says where the file comes from.
    """
    path = given or native.cache() / target_of(info) / name
    if not path.is_file():
        raise ToolchainMissingError(
            f"there is no {name} at {path}", hint=f"{how}\nthen give it with --runner, or put it there"
        )
    if not os.access(path, os.X_OK):
        raise ToolchainMissingError(f"{path} is not executable", hint=f"chmod +x {path}")
    return Program(((path, name),), f"{name} sha256:{whole.sha256(path)[:12]}")
