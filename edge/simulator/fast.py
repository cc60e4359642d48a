"""The cycles of a program without its events: stretches that share no time, each timed once per memory system.

The engine is the reference (`edge/simulator/engine.py`); the tests hold both to the same cycle on random designs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from edge.errors import UsageError
from edge.simulator.chip import MILLI, Chip
from edge.simulator.chip_parts import Role
from edge.simulator.memory import max_min
from edge.simulator.program import Job, Program, Unit


class Work(NamedTuple):
    """What a job asks of a chip: `latency` cycles, then `compute` cycles while `moved` bytes per role move."""

    operation: str
    latency: int
    compute: int
    moved: tuple[tuple[Role, int], ...]


class Step(NamedTuple):
    """A compute job, which waits for the one before it and for the first `needs` loads of its stretch."""

    work: Work
    needs: int


class Load(NamedTuple):
    """A load, which waits for the one before it and for the first `after` steps of its stretch.

    `written` steps come before it in the program; where two jobs share a port, the earlier one gets the odd thousandths.
    """

    work: Work
    after: int
    written: int


class Stretch(NamedTuple):
    """Steps and loads that start together on an idle chip: all work before them has ended, none after them has begun."""

    steps: tuple[Step, ...]
    loads: tuple[Load, ...]

    @property
    def dram_bytes(self) -> int:
        works = [*(step.work for step in self.steps), *(load.work for load in self.loads)]
        return sum(size for work in works for _, size in work.moved)


def stretches(program: Program) -> tuple[Stretch, ...]:
    """The stretches of a program in order; their cycles sum to the program's.

    Raises `UsageError` for a program whose compute jobs do not wait for each other.
    """
    return tuple(_cut(*_two_chains(program.jobs)))


def _two_chains(jobs: tuple[Job, ...]) -> tuple[list[Step], list[Load]]:
    """Compute jobs and loads as two chains: what waits for one of a chain waits for all before it."""
    steps: list[Step] = []
    loads: list[Load] = []
    computed: list[int] = []  # of each job, the steps and the loads that have ended once it has
    loaded: list[int] = []
    after = needs = 0
    for job in jobs:
        waits_for_steps = waits_for_loads = 0
        for earlier in job.after:
            waits_for_steps = max(waits_for_steps, computed[earlier])
            waits_for_loads = max(waits_for_loads, loaded[earlier])
        work = Work(job.operation, job.latency, job.compute, tuple([(each.role, each.size) for each in job.transfers]))
        if job.unit is Unit.LOADER:
            after = max(after, waits_for_steps)
            loads.append(Load(work, after, len(steps)))
            computed.append(after)
            loaded.append(len(loads))
            continue
        if waits_for_steps < len(steps):
            raise UsageError(f"{job.name} does not wait for the computation before it", hint="use the event engine")
        needs = max(needs, waits_for_loads)
        steps.append(Step(work, needs))
        computed.append(len(steps))
        loaded.append(needs)
    return steps, loads


def _cut(steps: list[Step], loads: list[Load]) -> Iterator[Stretch]:
    """Cut wherever all loads so far have been used and the next one waits for the step that ends there."""
    first = used = 0
    for end, (_, needs) in enumerate(steps, start=1):
        last = end == len(steps)
        if last or needs == len(loads) or loads[needs].after >= end:
            until = len(loads) if last else needs
            yield _stretch(steps, loads, (first, end), (used, until))
            first, used = end, until
    if loads and not steps:
        yield Stretch((), tuple(loads))


def _stretch(steps: list[Step], loads: list[Load], own: tuple[int, int], brought: tuple[int, int]) -> Stretch:
    """The steps and loads in these ranges, which count from the first of them."""
    first, used = own[0], brought[0]
    return Stretch(
        tuple([Step(work, max(0, needs - used)) for work, needs in steps[slice(*own)]]),
        tuple(
            [
                Load(work, max(0, after - first), max(0, written - first))
                for work, after, written in loads[slice(*brought)]
            ]
        ),
    )


class Side(NamedTuple):
    """What is left of a job: cycles of latency, cycles of computation, and thousandths of a byte per port."""

    latency: int
    compute: int
    flows: tuple[tuple[int, int], ...]

    @property
    def over(self) -> bool:
        return not (self.latency or self.compute or self.flows)

    @property
    def moving(self) -> tuple[tuple[int, int], ...]:
        return () if self.latency else self.flows

    def later(self, cycles: int, rates: tuple[int, ...]) -> Side:
        """What is left after some cycles at these rates, in which nothing began or ended before the last."""
        if self.latency:
            return self._replace(latency=self.latency - cycles)
        flows = tuple(
            (port, left - rate * cycles)
            for (port, left), rate in zip(self.flows, rates, strict=True)
            if left > rate * cycles
        )
        return Side(0, max(0, self.compute - cycles), flows)


IDLE = Side(0, 0, ())
Meeting = tuple[int, tuple[Side, ...]]


@dataclass(frozen=True)
class Bus:
    """The memory system of a chip, and what is known about the time that work takes on it.

    `caps` are thousandths of a byte per cycle of each port, `total` those of all ports together.
    """

    caps: tuple[int, ...]
    total: int
    port_of: dict[Role, int]
    _rates: dict[tuple[int, ...], tuple[int, ...]] = field(default_factory=dict)
    _meetings: dict[tuple[Side, ...], Meeting] = field(default_factory=dict)
    _alone: dict[Work, int] = field(default_factory=dict)
    _apart: dict[tuple[Role, ...], bool] = field(default_factory=dict)
    _cycles: dict[Stretch, int] = field(default_factory=dict)

    @classmethod
    def of(cls, chip: Chip) -> Bus:
        """The memory system of a chip. Raises `UsageError` for one with masters: their periods run on through a cut."""
        if chip.ddr.master:
            raise UsageError(f"chip {chip.name} has masters beside the accelerator", hint="use the event engine")
        caps = tuple(chip.port_millibytes(port) for port in chip.port)
        return cls(caps, chip.ddr_millibytes, {role: chip.port_of(role) for role in Role})

    def cycles(self, stretch: Stretch) -> int:
        """Cycles from the start of a stretch to the end of its last job."""
        if stretch not in self._cycles:
            apart = not stretch.loads or all(self._is_apart(roles) for roles in _crowds(stretch))
            self._cycles[stretch] = self._side_by_side(stretch) if apart else self._sharing(stretch)
        return self._cycles[stretch]

    def _side_by_side(self, stretch: Stretch) -> int:
        """Nothing slows a load or is slowed by one, so each job takes as long as alone: a flow shop of two machines."""
        ends, loaded = [0], [0]

        def load_until(count: int) -> None:
            for work, after, _ in stretch.loads[len(loaded) - 1 : count]:
                loaded.append(max(loaded[-1], ends[after]) + self.alone(work))

        for work, needs in stretch.steps:
            load_until(needs)
            ends.append(max(ends[-1], loaded[needs]) + self.alone(work))
        load_until(len(stretch.loads))
        return max(ends[-1], loaded[-1])

    def _sharing(self, stretch: Stretch) -> int:
        """At most one step and one load are under way; run both until one ends, and start what may start then."""
        steps, loads = stretch
        cycles = computed = loaded = 0
        step: Side | None = None
        load: Side | None = None
        while computed < len(steps) or loaded < len(loads):
            if step is None and computed < len(steps) and steps[computed].needs <= loaded:
                step = self._side(steps[computed].work)
            if load is None and loaded < len(loads) and loads[loaded].after <= computed:
                load = self._side(loads[loaded].work)
            if step is None or load is None:
                passed, (left,) = self._meet((step or load or IDLE,))
                step, load = (left, None) if step else (None, left)
            elif loads[loaded].written <= computed:
                passed, (load, step) = self._meet((load, step))
            else:
                passed, (step, load) = self._meet((step, load))
            cycles += passed
            if step is not None and step.over:
                step, computed = None, computed + 1
            if load is not None and load.over:
                load, loaded = None, loaded + 1
        return cycles

    def alone(self, work: Work) -> int:
        """Cycles of a job when nothing else happens."""
        if work not in self._alone:
            self._alone[work] = self._meet((self._side(work),))[0]
        return self._alone[work]

    def _side(self, work: Work) -> Side:
        flows = tuple((self.port_of[role], size * MILLI) for role, size in work.moved if size)
        return Side(work.latency, work.compute, flows)

    def _meet(self, sides: tuple[Side, ...]) -> Meeting:
        """Cycles until the first of these jobs ends, and what is then left of each."""
        if sides not in self._meetings:
            cycles, now = 0, sides
            while not any(side.over for side in now):
                passed, now = self._advance(now)
                cycles += passed
            self._meetings[sides] = cycles, now
        return self._meetings[sides]

    def _advance(self, sides: tuple[Side, ...]) -> Meeting:
        """On to the next cycle in which a latency, a computation or a transfer ends."""
        moving = [flow for side in sides for flow in side.moving]
        rates = self._shares(tuple(port for port, _ in moving))
        ends = [-(-left // rate) for (_, left), rate in zip(moving, rates, strict=True)]
        ends += [side.latency or side.compute for side in sides if side.latency or side.compute]
        passed, left, turn = min(ends), [], 0
        for side in sides:
            own = len(side.moving)
            left.append(side.later(passed, rates[turn : turn + own]))
            turn += own
        return passed, tuple(left)

    def _shares(self, ports: tuple[int, ...]) -> tuple[int, ...]:
        """The rate of each of these transfers, given by their ports in the order of their jobs."""
        if ports not in self._rates:
            shares = max_min({port: self.caps[port] for port in ports}, self.total)
            split = [divmod(shares[port], ports.count(port)) for port in ports]
            self._rates[ports] = tuple(
                each + (ports[:index].count(port) < extra)
                for index, (port, (each, extra)) in enumerate(zip(ports, split, strict=True))
            )
        return self._rates[ports]

    def _is_apart(self, roles: tuple[Role, ...]) -> bool:
        """Whether transfers in these roles and a load each get all that they could get alone."""
        if roles not in self._apart:
            weights, others = self.port_of[Role.WEIGHTS], {self.port_of[role] for role in roles}
            wanted = sum(self.caps[port] for port in others | {weights})
            self._apart[roles] = not others or (weights not in others and wanted <= self.total)
        return self._apart[roles]


def _crowds(stretch: Stretch) -> set[tuple[Role, ...]]:
    """The roles that move at once, of each kind of step."""
    return {tuple(role for role, _ in step.work.moved) for step in stretch.steps}
