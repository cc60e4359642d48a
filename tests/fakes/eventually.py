"""What becomes true within some seconds, and whether a process still runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def becomes_true(condition: Callable[[], bool], within_s: float = 10) -> bool:
    """At once or within some seconds."""
    latest = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > latest:
            return False
        time.sleep(0.02)
    return True


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or before it was read
        return False
