"""The DDR channel: transfers share their port, ports share what masters leave, and nobody gets more than its rate."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.simulator.chip import MILLI, Chip
from edge.simulator.masters import Demand
from edge.simulator.program import Transfer


@dataclass(slots=True)
class Flow:
    """A transfer under way: the job it belongs to, its port, and the thousandths of a byte that are left."""

    job: int
    port: int
    left: int
    rate: int = 0


@dataclass(slots=True)
class Channel:
    """The state of all transfers at cycle `now`."""

    chip: Chip
    now: int = 0
    flows: list[Flow] = field(default_factory=list)
    _demand: Demand = field(init=False)

    def __post_init__(self) -> None:
        self._demand = Demand(self.chip)

    def begin(self, job: int, transfers: tuple[Transfer, ...]) -> int:
        """Start the transfers of a job; returns how many move anything."""
        moving = [each for each in transfers if each.size]
        self.flows += [Flow(job, self.chip.port_of(each.role), each.size * MILLI) for each in moving]
        if moving:
            self._share()
        return len(moving)

    def next_end(self) -> int | None:
        """The next cycle in which a transfer ends or the rates change, or None when no transfer is under way."""
        if not self.flows:
            return None
        ends = [self.now - (-flow.left // flow.rate) for flow in self.flows if flow.rate]
        return min([*ends, *self._demand.next_change()])

    def advance(self, now: int) -> list[int]:
        """Move to cycle `now`; returns the job of each transfer that has ended, in the order of their starts."""
        for flow in self.flows:
            flow.left -= flow.rate * (now - self.now)
        self.now = now
        changed = self._demand.advance(now)
        ended = [flow.job for flow in self.flows if flow.left <= 0]
        if ended or changed:
            self.flows = [flow for flow in self.flows if flow.left > 0]
            self._share()
        return ended

    def _share(self) -> None:
        by_port: dict[int, list[Flow]] = {}
        for flow in sorted(self.flows, key=lambda flow: flow.job):  # odd thousandths go to the earlier job
            by_port.setdefault(flow.port, []).append(flow)
        caps = {port: self.chip.port_millibytes(self.chip.port[port]) for port in by_port}
        for port, share in max_min(caps, self.chip.ddr_millibytes - self._demand.taken).items():
            flows = by_port[port]
            each, extra = divmod(share, len(flows))
            for index, flow in enumerate(flows):
                flow.rate = each + (index < extra)


def max_min(caps: dict[int, int], total: int) -> dict[int, int]:
    """Max-min fair shares of `total` under each one's cap: who wants less than an equal part gets all it wants."""
    shares = {}
    for taken, port in enumerate(sorted(caps, key=lambda port: (caps[port], port))):
        shares[port] = min(caps[port], total // (len(caps) - taken))
        total -= shares[port]
    return shares
