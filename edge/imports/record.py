"""A latency that someone else measured: a summary with its origin, since others publish no samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import UsageError
from edge.measurement import Source


@dataclass(frozen=True, slots=True)
class ImportedLatency:
    """One network on one device, in ms. `by` is who measured it, `statistic` what `ms` is of its runs.

    It has no samples, so no interval and no verdict: it never becomes a `Measurement`. What is not told is empty or None.
    Raises `UsageError` for a time that none can be.
    """

    device: str
    runtime: str
    model: str
    precision: str
    ms: float
    statistic: str
    by: str
    runs: int | None = None
    init_ms: float | None = None
    peak_rss_kb: int | None = None
    unit: str = ""
    """Who computed most of it (CPU, GPU, NPU), where that is told."""
    reference: str = ""
    """What the publisher calls this measurement."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.ms) and self.ms > 0):
            raise UsageError(
                f"{self.by} gives {self.model or 'a model'} a latency of {self.ms} ms", hint="the file is damaged"
            )

    @property
    def source(self) -> Source:
        """Measured on a device: by another, which `by` says."""
        return Source.MEASURED

    def fields(self) -> dict[str, Any]:
        """As JSON data."""
        names = (
            "device", "runtime", "model", "precision", "ms", "statistic", "by", "runs", "init_ms", "peak_rss_kb", "unit",
            "reference",
        )  # fmt: skip
        return {"source": self.source.value, **{name: getattr(self, name) for name in names}}


def contents(path: Path, most_bytes: int = 64 << 20) -> bytes:
    """The bytes of a file of results. Raises `UsageError` for one that is not there or is no file of results by its size."""
    try:
        if path.stat().st_size > most_bytes:
            raise UsageError(f"{path} is larger than {most_bytes >> 20} MiB", hint="a file of results is far smaller")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}", hint="give a file of results") from error
