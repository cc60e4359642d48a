"""A latency measurement: every sample, and where it came from."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from edge.device_state import DeviceInfo, DeviceState, throttled

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
    """Latencies of one file on one device, batch 1, in ms; start-up in ms, and peak memory of the process in kB where told.

    `info` is what the device was, `before`, `during` and `after` the states it was in, where it shows them.
    """

    device: str
    source: Source
    runtime: str
    threads: int
    samples_ms: tuple[float, ...]
    init_ms: float
    peak_rss_kb: int | None
    precision: str = ""
    info: DeviceInfo | None = None
    before: DeviceState | None = None
    during: tuple[DeviceState, ...] = ()
    after: DeviceState | None = None

    @property
    def median_ms(self) -> float:
        return statistics.median(self.samples_ms)

    @property
    def p90_ms(self) -> float:
        return _quantile(self.samples_ms, 0.9)

    @property
    def p95_ms(self) -> float:
        return _quantile(self.samples_ms, 0.95)

    @property
    def mad_ms(self) -> float:
        """The median of the distances from the median."""
        return statistics.median(abs(sample - self.median_ms) for sample in self.samples_ms)

    @property
    def ci95_ms(self) -> tuple[float, float]:
        return interval(self.samples_ms)

    @property
    def verdict(self) -> str:
        """throttled, where the device slowed down meanwhile; noisy, where the interval is wide; else ok."""
        if throttled(self.during):
            return "throttled"
        return "noisy" if interval_is_wide(self.samples_ms) else "ok"

    @property
    def energy_mj(self) -> float | None:
        """Energy of a run in mJ, by the battery's mean current and voltage while running; None where a cable fed the device,
        or it does not tell. All that the device does is in it, the screen too."""
        watts = [
            abs(state.current_ma) * state.voltage_mv * 1e-6
            for state in self.during
            if state.current_ma is not None and state.voltage_mv is not None and state.charging is False
        ]
        return statistics.mean(watts) * self.median_ms if watts else None

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
            "p95_ms": self.p95_ms,
            "mad_ms": self.mad_ms,
            "ci95_ms": list(self.ci95_ms),
            "verdict": self.verdict,
            "init_ms": self.init_ms,
            "peak_rss_kb": self.peak_rss_kb,
            "precision": self.precision,
            "fingerprint": None if self.info is None else self.info.fingerprint,
            "energy_mj": self.energy_mj,
            "before": None if self.before is None else self.before.fields(),
            "during": [state.fields() for state in self.during],
            "after": None if self.after is None else self.after.fields(),
        }


def interval(samples_ms: Sequence[float]) -> tuple[float, float]:
    """95 % confidence interval of the median, by the percentile bootstrap with a fixed seed."""
    generator = random.Random(0)
    medians = sorted(statistics.median(generator.choices(samples_ms, k=len(samples_ms))) for _ in range(RESAMPLES))
    return medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES)]


def interval_is_wide(samples_ms: Sequence[float]) -> bool:
    """Whether the interval of the median is wider than `NOISY` of it."""
    low, high = interval(samples_ms)
    return high - low > NOISY * statistics.median(samples_ms)


def _quantile(samples_ms: Sequence[float], share: float) -> float:
    ordered = sorted(samples_ms)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
