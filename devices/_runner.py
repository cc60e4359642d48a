"""The promise of a runner: a program on a machine that loads a file, runs it, and writes down how long it took."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from edge.device_state import DeviceInfo
from edge.errors import UsageError
from edge.machine import Finished, Machine
from edge.operator_times import OperatorTime
from edge.protocol import Round, TimingPlan


@dataclass(frozen=True, slots=True)
class Program:
    """What a runner needs on the machine: its own file first, then its libraries; `remote` are their names there."""

    files: tuple[tuple[Path, str], ...]
    version: str
    """Of the runtime, as a measurement names it."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One start of a runner: its arguments, its environment, and the files that it writes (names in the machine's folder)."""

    command: tuple[str, ...]
    results: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


class Runner(ABC):
    """One kind of runner. Making one touches nothing."""

    name: ClassVar[str]
    """What the user and a measurement call it."""
    suffix: ClassVar[str]
    """Of the model files that it runs."""
    kinds: ClassVar[frozenset[str]] = frozenset({"android", "linux"})
    """Of the devices on which it can run (`DeviceInfo.kind`)."""

    @abstractmethod
    def program(self, info: DeviceInfo) -> Program:
        """What to push to a machine of this kind and ABI, built or found on this one.

        Raises `ToolchainMissingError` that says exactly how to get it, and `NotExecutableHereError` for an ABI that it
        cannot have.
        """

    def runtime(self, machine: Machine, program: Program) -> str:  # noqa: ARG002
        """The runtime's name and version, asked of the machine, where `program` already lies, if it is the machine's own.

        Raises `ToolchainMissingError` where the machine lacks it.
        """
        return program.version

    @abstractmethod
    def invocation(self, folder: PurePosixPath, model: str, plan: TimingPlan) -> Invocation:
        """How to start it in `folder` on the file `model` there, to warm up and run as `plan` says."""

    @abstractmethod
    def round(self, finished: Finished, results: Mapping[str, Path]) -> Round:
        """Read what it wrote. Raises `DeviceError` for anything that it could not have written."""

    def operators_invocation(self, folder: PurePosixPath, model: str, plan: TimingPlan) -> Invocation:  # noqa: ARG002
        """How to start it so that it also tells the time of each operator. Raises `UsageError` where it cannot."""
        raise UsageError(f"{self.name} does not tell the times of single operators", hint="take another --runner")

    def operators(self, finished: Finished, results: Mapping[str, Path]) -> tuple[OperatorTime, ...]:  # noqa: ARG002
        """The operators of a run started so. Raises `DeviceError`, and `UsageError` where it cannot tell."""
        raise UsageError(f"{self.name} does not tell the times of single operators", hint="take another --runner")
