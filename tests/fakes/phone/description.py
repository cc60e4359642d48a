"""What a fake phone is, as plain data; the names are made up."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

CPU, GPU, BATTERY, SKIN, NPU = 0, 1, 2, 3, 9
"""Kinds of temperature in `dumpsys thermalservice` (devices sheet §4.3)."""
MODERN = ("shell_v2", "cmd", "fixed_push_mkdir")
BEFORE_SHELL_V2 = ("cmd",)
THIS_MACHINES_ABI = {"x86_64": "x86_64", "aarch64": "arm64-v8a"}.get(platform.machine(), platform.machine())
"""What Android calls this machine's processor: a phone that runs this machine's programs has it too."""


@dataclass(frozen=True, slots=True)
class Core:
    """Its clocks in kHz, and Arm's number of its kind (in `CPU part` of /proc/cpuinfo)."""

    max_khz: int
    now_khz: int
    part: int
    min_khz: int = 300_000
    capacity: int = 1024


@dataclass(frozen=True, slots=True)
class Phone:
    """One phone in one state; None is what it does not tell."""

    model: str
    device: str
    soc: str
    sdk: int
    release: str
    cores: tuple[Core, ...]
    manufacturer: str = "Fake"
    abi: str = "arm64-v8a"
    thermal_status: int | None = 0
    temperatures_c: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """By the sensor's name: its kind, and the temperature."""
    battery_percent: int = 80
    battery_c: float = 27.5
    charging: bool = True
    current_ua: int | None = -350_000
    screen_on: bool = True
    low_power: bool = False
    memory_kb: int = 8_000_000
    free_kb: int = 20_000_000
    features: tuple[str, ...] = MODERN

    def slowed(self, share: float, thermal_status: int) -> Self:
        """The same phone with every clock at this share of its highest, at this thermal status."""
        cores = tuple(replace(core, now_khz=int(core.max_khz * share)) for core in self.cores)
        return replace(self, cores=cores, thermal_status=thermal_status)


def _cores(count: int, max_khz: int, part: int, capacity: int) -> tuple[Core, ...]:
    return (Core(max_khz, max_khz, part, capacity=capacity),) * count


NEW = Phone(
    model="Fake 9 Pro",
    device="fake9",
    soc="MU900",
    sdk=34,
    release="14",
    cores=_cores(4, 1_800_000, 0xD05, 250) + _cores(3, 2_400_000, 0xD41, 700) + _cores(1, 2_900_000, 0xD44, 1024),
    temperatures_c={"CPU0": (CPU, 38.0), "GPU": (GPU, 36.5), "NPU": (NPU, 35.0), "skin": (SKIN, 31.0)},
)
OLD = Phone(
    model="Fake 2",
    device="fake2",
    soc="",
    sdk=23,
    release="6.0",
    cores=_cores(4, 1_400_000, 0xD03, 1024),
    thermal_status=None,
    current_ua=None,
    memory_kb=2_000_000,
    free_kb=500_000,
    features=BEFORE_SHELL_V2,
)
HOT = replace(
    NEW.slowed(0.6, thermal_status=3),
    temperatures_c={"CPU0": (CPU, 92.0), "GPU": (GPU, 85.0), "NPU": (NPU, 80.0), "skin": (SKIN, 46.0)},
    battery_c=44.0,
)
