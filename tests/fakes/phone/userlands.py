"""Whose commands a phone runs: this machine's shell, in the phone's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PlainShell:
    """This machine's own shell, which starts in the phone's folder but sees all of this machine: for the protocol only."""

    root: Path

    @property
    def environment(self) -> Mapping[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.root)}

    def argv(self, command: str) -> Sequence[str]:
        return ("/bin/sh", "-c", command) if command else ("/bin/sh",)
