"""An exported file and everything that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.spec import Precision


@dataclass(frozen=True, slots=True)
class Artifact:
    """One model file. `verdict` holds the fields of `edge.verify.Verdict`; `seconds` is wall time, 0 from the cache."""

    target: str
    path: Path
    bytes: int
    sha256: str
    precision: Precision
    verdict: Mapping[str, Any]
    seconds: float
    cached: bool

    def fields(self, folder: Path) -> dict[str, Any]:
        """The JSON fields of the command-line contract; the path is relative to the folder when it lies in it."""
        inside = self.path.is_relative_to(folder)
        return {
            "target": self.target,
            "path": str(self.path.relative_to(folder) if inside else self.path),
            "bytes": self.bytes,
            "sha256": self.sha256,
            "precision": self.precision.value,
            "seconds": round(self.seconds, 2),
            "cached": self.cached,
            **self.verdict,
        }
