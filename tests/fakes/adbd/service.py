"""What a service gets to do its work with, and where its processes and files live."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.fakes.adbd.faults import Mishaps
from tests.fakes.adbd.stream import Stream


class Userland(Protocol):
    """The system behind the daemon."""

    @property
    def root(self) -> Path:
        """The folder, on this machine, that is the phone's `/`."""

    @property
    def environment(self) -> Mapping[str, str]:
        """All that a process of the phone sees of one."""

    def argv(self, command: str) -> Sequence[str]:
        """What to start on this machine to run a shell command on the phone; an empty one is a shell that reads stdin."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service opened by the host, such as `shell,v2,raw:true`."""

    name: str
    stream: Stream
    userland: Userland
    mishaps: Mishaps
    legacy_shell: bool
    """A phone from before shell v2, which runs every command behind a terminal."""
    listening: dict[str, tuple[str, asyncio.Server]]
    """The phone's ports that lead to the host: the host's end, and what listens."""
    drop: Callable[[], None]
    """End the connection at once."""
    open_on_host: Callable[[str], Awaitable[Stream]]

    @property
    def argument(self) -> str:
        return self.name.partition(":")[2]
