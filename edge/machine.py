"""The promise of a machine: files and processes on a device, however it is connected."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge.device_state import DeviceInfo, DeviceState

Line = Callable[[str], None]
"""Called with each line of a process's standard output, as soon as it is there."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that has ended: its exit code (128 + n: by signal n), and what it wrote."""

    exit_code: int
    stdout: str
    stderr: str


class Machine(ABC):
    """One device with a shell. Making one touches nothing; it connects on first use.

    Every method raises `DeviceError` when the device is gone, refuses, stalls past its time limit or is full. Names and
    paths may hold any character but NUL: quoting them is the machine's business.
    """

    @property
    @abstractmethod
    def folder(self) -> PurePosixPath:
        """The folder on the device in which our files lie; it is made on first use and removed by `leave`."""

    @abstractmethod
    def info(self) -> DeviceInfo:
        """What the device is."""

    @abstractmethod
    def state(self) -> DeviceState:
        """One look at the device."""

    @abstractmethod
    def push(self, local: Path, remote: PurePosixPath) -> None:
        """Copy a file to the device with its mode. A file that is there with the same contents is not sent again."""

    @abstractmethod
    def pull(self, remote: PurePosixPath, local: Path) -> None:
        """Copy a file from the device; `local` is whole or absent."""

    @abstractmethod
    def run(
        self,
        command: Sequence[str],
        *,
        timeout_s: float,
        environment: Mapping[str, str] = {},  # read only
        on_line: Line | None = None,
    ) -> Finished:
        """Run a program with its arguments in `folder`; nothing of it is left running when this returns or raises."""

    @abstractmethod
    def remove(self, remote: PurePosixPath) -> None:
        """Remove one of our files; one that is not there is no error."""

    @abstractmethod
    def prepare(self) -> None:
        """Make the device ready for timing (screen on, …), remembering what is changed."""

    @abstractmethod
    def leave(self) -> None:
        """Restore what `prepare` changed and remove what `push` brought, except what is kept for the next time.

        Called at the end of every use, also after an error or Ctrl-C; it never raises.
        """
