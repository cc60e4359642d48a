"""The promise of a device: say what is attached, and time a file on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from edge.measurement import Measurement


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """One thing that can run files; what is not known is empty."""

    id: str
    kind: str
    state: str
    model: str = ""
    soc: str = ""
    abi: str = ""
    os: str = ""


@dataclass(frozen=True, slots=True)
class TimingPlan:
    """How often to run: the first runs pay for page faults and clock ramp-up and are not counted."""

    warmup: int = 5
    runs: int = 50
    timeout_s: float = 600


class Device(ABC):
    """One kind of device, addressed `kind:which`. Making one touches nothing; it connects on first use."""

    def __init__(self, which: str = "") -> None:
        self.which = which

    @abstractmethod
    def attached(self) -> tuple[DeviceInfo, ...]:
        """Everything of this kind that is attached."""

    @abstractmethod
    def time(self, path: Path, plan: TimingPlan, *, log: Path) -> Measurement:
        """Time the file on this device. Raises `DeviceError`, `NotExecutableHereError` or `BadArtifactError`."""
