"""Masters of the memory beside the accelerator, such as camera and display: bursts that come first, period by period."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge.errors import UsageError
from edge.simulator.chip import MILLI, Chip
from edge.simulator.chip_parts import Master
from edge.simulator.tables import read


@dataclass(slots=True)
class _Burst:
    """The state of one master; `left` is what it still has to move, in thousandths of a byte."""

    size: int
    most: int
    period: int
    next_start: int = 0
    left: int = 0
    rate: int = 0
    bursts: int = 0
    late: int = 0
    worst: int = 0


class Demand:
    """What all masters take at cycle `now`, which only moves on.

    In each period a master wants its bytes at up to its own rate; the earlier in the list gets them first. The rest of
    a cycle in which a burst ends is lost. What a period leaves unserved is served in the next, and counts as late.
    """

    def __init__(self, chip: Chip) -> None:
        self._total = chip.ddr_millibytes
        self._now = 0
        self.bursts = [
            _Burst(master.bytes * MILLI, chip.burst_millibytes(master), chip.period_cycles(master))
            for master in chip.ddr.master
        ]
        self.taken = 0

    def next_change(self) -> tuple[int, ...]:
        """The next cycle in which `taken` may change, empty without masters."""
        starts = [burst.next_start for burst in self.bursts]
        ends = [self._now - (-burst.left // burst.rate) for burst in self.bursts if burst.rate]
        return (min([*starts, *ends]),) if starts else ()

    def advance(self, now: int) -> bool:
        """Move to cycle `now`; whether anything changed on the way."""
        changed = False
        while (change := self.next_change()) and change[0] <= now:
            self._move(change[0])
            self._start()
            self._share()
            changed = True
        self._move(now)
        return changed

    def _move(self, now: int) -> None:
        for burst in self.bursts:
            if burst.rate:
                burst.left = max(0, burst.left - burst.rate * (now - self._now))
                if not burst.left:
                    burst.rate = 0
                    burst.worst = max(burst.worst, now - (burst.next_start - burst.period))
        self._now = now

    def _start(self) -> None:
        for burst in self.bursts:
            if burst.next_start == self._now:
                burst.late += burst.left > 0
                burst.left += burst.size
                burst.bursts += 1
                burst.next_start += burst.period

    def _share(self) -> None:
        total = self._total
        for burst in self.bursts:
            burst.rate = min(burst.most, total) if burst.left else 0
            total -= burst.rate
        self.taken = self._total - total


@dataclass(frozen=True, slots=True)
class Service:
    """How a master was served: its bursts, how many were not over when the next began, and the longest in cycles.

    The longest counts from the start of a period; with a late burst it is at least that period.
    """

    name: str
    bursts: int
    late: int
    worst_cycles: int


def service(chip: Chip, cycles: int) -> tuple[Service, ...]:
    """How each master is served in the first `cycles`; as masters come first, whatever the accelerator does."""
    demand = Demand(chip)
    demand.advance(cycles)
    return tuple(
        Service(master.name, burst.bursts, burst.late, max(burst.worst, burst.period if burst.late else 0))
        for master, burst in zip(chip.ddr.master, demand.bursts, strict=True)
    )


def without_masters(chip: Chip) -> Chip:
    """The chip alone on its memory but for the constant background."""
    return replace(chip, ddr=replace(chip.ddr, master=()))


@dataclass(frozen=True, slots=True)
class _File:
    master: tuple[Master, ...]


def from_file(path: Path) -> tuple[Master, ...]:
    """The [[master]] tables of a TOML file. Raises `UsageError`."""
    if not path.is_file():
        raise UsageError(
            f"there is no {path}", hint="give a file of [[master]] tables: name, bytes, period_us, bytes_per_cycle"
        )
    try:
        table: dict[str, Any] = tomllib.loads(path.read_bytes().decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}", hint="write [[master]] tables") from None
    return read(_File, table, str(path)).master
