"""A latency measurement: every sample, and where it came from."""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

NOISY = 0.05
"""A median whose 95 % confidence interval is wider than this share of it is called noisy."""
RESAMPLES = 1000


class Source(StrEnum):
    """Where a number came from; numbers of different sources are never mixed without showing it."""

    MEASURED = "measured"
    EMULATED = "emulated"
    REFERENCE_RUNTIME = "reference-runtime"
    SIMULATED = "simulated"
    PREDICTED = "predicted"


@dataclass(frozen=True, slots=True)
class Measurement:
    """Latencies of one file on one device, batch 1, in ms; start-up time in ms and peak memory of the process in kB."""

    device: str
    source: Source
    runtime: str
    threads: int
    samples_ms: tuple[float, ...]
    init_ms: float
    peak_rss_kb: int

    @property
    def median_ms(self) -> float:
        return statistics.median(self.samples_ms)

    @property
    def p90_ms(self) -> float:
        ordered = sorted(self.samples_ms)
        return ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]

    @property
    def ci95_ms(self) -> tuple[float, float]:
        """95 % confidence interval of the median, by the percentile bootstrap with a fixed seed."""
        generator = random.Random(0)
        medians = sorted(
            statistics.median(generator.choices(self.samples_ms, k=len(self.samples_ms))) for _ in range(RESAMPLES)
        )
        return medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES)]

    @property
    def verdict(self) -> str:
        low, high = self.ci95_ms
        return "noisy" if high - low > NOISY * self.median_ms else "ok"

    def fields(self) -> dict[str, Any]:
        """The JSON fields of the command-line contract."""
        return {
            "device": self.device,
            "runtime": self.runtime,
            "threads": self.threads,
            "source": self.source.value,
            "samples_ms": list(self.samples_ms),
            "median_ms": self.median_ms,
            "p90_ms": self.p90_ms,
            "ci95_ms": list(self.ci95_ms),
            "verdict": self.verdict,
            "init_ms": self.init_ms,
            "peak_rss_kb": self.peak_rss_kb,
        }
