"""What a device is, and the state that it is in while something is timed on it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

THERMAL_STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
"""Android's names of its thermal status 0 to 6 (`PowerManager.THERMAL_STATUS_*`)."""
CLOCK_FELL = 0.10
"""A clock that falls by more than this share while something is timed was throttled (devices sheet §4.3)."""


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """One thing that can run files; what is not known is empty or None."""

    id: str
    kind: str
    state: str
    model: str = ""
    soc: str = ""
    abi: str = ""
    os: str = ""
    battery_percent: int | None = None
    thermal_status: int | None = None

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits of what decides its speed: equal for two devices of one model with one system."""
        decides = "\n".join((self.kind, self.model, self.soc, self.abi, self.os))
        return hashlib.sha256(decides.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class DeviceState:
    """One look at a device, `at_s` seconds on the clock of the machine that looked; what cannot be read is None or empty.

    `clocks_khz` is each core's present clock, in the order of the cores; `temperatures_c` by the sensor's name.
    """

    at_s: float
    clocks_khz: tuple[int, ...] = ()
    thermal_status: int | None = None
    temperatures_c: Mapping[str, float] = field(default_factory=dict)
    battery_percent: int | None = None
    battery_c: float | None = None
    charging: bool | None = None
    current_ma: float | None = None
    voltage_mv: float | None = None
    screen_on: bool | None = None
    low_power: bool | None = None

    def fields(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


def throttled(running: Sequence[DeviceState]) -> bool:
    """Whether states sampled while something ran show a thermal status above none, or a fastest core that slowed down."""
    if any(state.thermal_status for state in running):
        return True
    fastest = [max(state.clocks_khz) for state in running if state.clocks_khz]
    return bool(fastest) and fastest[-1] < (1 - CLOCK_FELL) * max(fastest)
