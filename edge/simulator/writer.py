"""Appends the jobs of a program: what waits for what, which weight buffer is free, and where the chip may turn away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edge.simulator.chip import Chip
from edge.simulator.chip_parts import Activations, Role
from edge.simulator.policies import Policy
from edge.simulator.program import Hold, Job, Traffic, Transfer, Unit
from edge.simulator.workload import Network


@dataclass(slots=True)
class Writer:
    """Every compute job waits for the one before it, so only loads run beside computation."""

    network: Network
    chip: Chip
    policy: Policy
    jobs: list[Job] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    frame: int = 0
    frame_start: tuple[int, ...] = ()
    computed: tuple[int, ...] = ()
    """The last compute job, if any."""
    queued: int = 0
    """Entries in the token queues after the last job."""
    histograms: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """Of each MoE layer, the queue lengths of the last frame."""
    users: list[int] = field(default_factory=list)
    """Of each load into a weight buffer, the job that is the last to use it."""

    @property
    def ready(self) -> tuple[int, ...]:
        """What ends when all that was written before has been computed."""
        return self.computed or self.frame_start

    def start_frame(self, frame: int) -> None:
        self.frame, self.frame_start = frame, self.computed

    def compute(
        self,
        name: str,
        unit: Unit,
        *,
        compute: int = 0,
        latency: int = 0,
        macs: int = 0,
        transfers: tuple[Transfer, ...] = (),
        after: tuple[int, ...] = (),
        operation: str = "",
    ) -> int:
        """Append a job that waits for the compute job before it; transfers stay on chip where activations do."""
        if self.chip.memory.activations is Activations.ON_CHIP:
            transfers = tuple(
                each for each in transfers if each.role is Role.WEIGHTS or each.traffic is Traffic.PATCHES
            )
        waits = (*self.ready, *after)
        self.jobs.append(Job(name, operation or name, unit, self.frame, waits, compute, latency, macs, transfers))
        self.computed = (len(self.jobs) - 1,)
        return self.computed[0]

    def load(self, name: str, operation: str, transfer: Transfer, after: tuple[int, ...]) -> int:
        """Append a load of weights that waits for `after` only."""
        latency = self.chip.burst_cycles
        self.jobs.append(Job(name, operation, Unit.LOADER, self.frame, after, 0, latency, 0, (transfer,)))
        return len(self.jobs) - 1

    def load_buffer(self, name: str, operation: str, transfer: Transfer, after: tuple[int, ...]) -> int:
        """Load into the weight buffer that was given out longest ago, once its last user has ended."""
        turn = len(self.users) - self.policy.buffers
        freed = (self.users[turn],) if turn >= 0 else ()
        return self.load(name, operation, transfer, (*after, *freed))

    def use_buffer(self, load: int) -> None:
        """The compute job just written is the only user of that load."""
        self.users.append(self.computed[0])
        self.holds.append(Hold(self.jobs[load].transfers[0].size, load, self.computed[0]))

    def release_buffers(self, loads: Sequence[int], operation: str, after: tuple[int, ...]) -> None:
        """Nobody uses these loads: their buffers are free when they have arrived and `after` has ended."""
        self.jobs.append(Job("release buffers", operation, Unit.LOADER, self.frame, after))
        for load in loads:
            self.users.append(len(self.jobs) - 1)
            self.holds.append(Hold(self.jobs[load].transfers[0].size, load, len(self.jobs) - 1))

    def rows(self, role: Role, rows: int, width: int, traffic: Traffic) -> Transfer:
        """A transfer of `rows` activations of `width` values."""
        return Transfer(role, self.chip.precision.act_bytes(rows * width), traffic)

    def boundary(self, live: int | None = None) -> None:
        """The job just written ends where the chip may turn to another frame once the context is saved.

        The context is what the queues hold and, where activations stay on chip, the `live` values of them; without
        `live` such a chip cannot turn away here.
        """
        stay = self.chip.memory.activations is Activations.ON_CHIP
        if stay and live is None:
            return
        activations = self.chip.precision.act_bytes(live or 0) if stay else 0
        queues = self.chip.queue.saved_bytes(self.queued, self.network.experts) if self.queued else 0
        (last,) = self.computed
        self.jobs[last] = replace(self.jobs[last], context_bytes=activations + queues)


def weights(size: int) -> Transfer:
    """A transfer of `size` bytes of weights."""
    return Transfer(Role.WEIGHTS, size, Traffic.WEIGHTS)
