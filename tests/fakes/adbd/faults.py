"""What can go wrong on a phone, one switch each (devices sheet §1.4)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Faults:
    """None and False are a phone in good health. Bytes count the output of one command, or of one file that is pushed.

    A fault strikes only where the service, or the path of a file pushed, contains `touching`, and `times` times at most.
    """

    touching: str = ""
    times: int | None = None

    unauthorized: bool = False
    """Nobody taps "allow"."""
    refuse_open: bool = False
    """CLSE in answer to OPEN."""
    drop_after_output: int | None = None
    """The connection ends: a cable pulled in mid-run."""
    drop_after_sent: int | None = None
    """The connection ends: a cable pulled in mid-push."""
    stays_away: bool = False
    """After a drop nothing listens any more."""
    stall_after_output: int | None = None
    """Silence for ever while the connection stands."""
    stall_after_sent: int | None = None
    kill_after_output: int | None = None
    """SIGKILL to the process, as Android does when memory runs low: exit code 137."""
    full_after_sent: int | None = None
    """No space left on device."""
    seconds_per_write: float = 0.0
    """A slow link: a pause before each WRTE and before each OKAY to one."""


class Mishaps:
    """The faults of one phone, and how often they have struck."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.struck = 0

    def strikes(self, name: str, limit: int | None, count: int) -> bool:
        """Whether a fault due at `limit` bytes strikes now that `name` is at `count`; if so, it counts as one time."""
        spent = self.faults.times is not None and self.struck >= self.faults.times
        if limit is None or count < limit or spent or self.faults.touching not in name:
            return False
        self.struck += 1
        return True
