"""The promise of a device: say what is attached, and time a file on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from edge.device_state import DeviceInfo
from edge.errors import UsageError
from edge.measurement import Measurement
from edge.operator_times import OperatorTime
from edge.protocol import TimingPlan


class Device(ABC):
    """One kind of device, addressed `kind:which`. Making one touches nothing; it connects on first use."""

    here: ClassVar[bool] = False
    """Whether it is this machine itself, on which two timings at once would disturb each other."""

    def __init__(self, which: str = "") -> None:
        self.which = which

    @property
    def kind(self) -> str:
        """The plugin's file name: what the user types before the colon."""
        return type(self).__module__.split(".")[1]

    @abstractmethod
    def attached(self) -> tuple[DeviceInfo, ...]:
        """Everything of this kind that is attached; nothing where the tool that would know is missing."""

    @abstractmethod
    def can_run(self, path: Path) -> bool:
        """Whether files like this one run here, by its name alone: nothing is opened or connected."""

    @abstractmethod
    def time(self, path: Path, plan: TimingPlan, *, log: Path) -> Measurement:
        """Time the file on this device. Raises `DeviceError`, `NotExecutableHereError` or `BadArtifactError`."""

    def time_in_turns(
        self, paths: Sequence[Path], plan: TimingPlan, *, passes: int, log: Path
    ) -> tuple[tuple[Measurement, ...], ...]:
        """Time several files in turns, `passes` times over, so that whatever slows the device down meets all alike.

        For each file its passes, in order. `plan.budget_s` bounds one pass over one file. Raises like `time`.
        """
        turns = [[self.time(path, plan, log=log) for path in paths] for _ in range(passes)]
        return tuple(zip(*turns, strict=True))

    def operators(self, path: Path, plan: TimingPlan, *, log: Path) -> tuple[OperatorTime, ...]:  # noqa: ARG002
        """The time of each operator, in the order of execution. Raises like `time`, and `UsageError` where nothing tells."""
        raise UsageError(
            f"{self.kind} gives no times of single operators of {path.name}",
            hint="profile on the host, or without --ops",
        )
