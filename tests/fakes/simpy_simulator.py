"""An oracle of whole programs in SimPy, written from the rules that `edge/simulator/program.py` states, not from the engine.

Each unit is a process that does its jobs in the order of the program: it waits for the jobs before, then for the latency,
then for the computation and all transfers at once. The memory is a process that pours out what a cycle can move, in
thousandths of a byte: an equal level for all ports that move something, but no port more than its own rate; what does
not divide goes to the widest. Within a port, all transfers get the same, and the odd thousandths go to the earlier job.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import simpy

from edge.simulator.chip import Chip
from edge.simulator.program import Job, Program, Unit

Steps = Iterator[simpy.Event]


@dataclass(eq=False)
class Move:
    """A transfer under way: `left` and `rate` in thousandths of a byte, and of those per cycle."""

    job: int
    port: int
    left: int
    over: simpy.Event
    rate: int = 0


def spans(program: Program, chip: Chip) -> tuple[tuple[int, int], ...]:
    """(start, end) of every job, in cycles."""
    env = simpy.Environment()
    memory = Memory(env, chip)
    done = [env.event() for _ in program.jobs]
    found: list[tuple[int, int]] = [(-1, -1)] * len(program.jobs)

    def work(unit: Unit) -> Steps:
        for index, job in enumerate(program.jobs):
            if job.unit is not unit:
                continue
            yield env.all_of([done[earlier] for earlier in job.after])
            start = env.now
            yield env.timeout(job.latency)
            yield env.all_of([env.timeout(job.compute), *memory.move(index, job)])
            found[index] = (start, env.now)
            done[index].succeed()

    for unit in Unit:
        env.process(work(unit))
    env.run()
    return tuple(found)


class Memory:
    """All transfers; whenever one begins or ends, what each gets is worked out anew."""

    def __init__(self, env: simpy.Environment, chip: Chip) -> None:
        self.env, self.chip = env, chip
        self.moves: list[Move] = []
        self.begun = env.event()
        env.process(self.pour())

    def move(self, index: int, job: Job) -> list[simpy.Event]:
        """Begin the transfers of a job; each event comes when its transfer is over."""
        began = [
            Move(index, self.chip.port_of(transfer.role), 1000 * transfer.size, self.env.event())
            for transfer in job.transfers
            if transfer.size
        ]
        self.moves += began
        if began and not self.begun.triggered:
            self.begun.succeed()
        return [move.over for move in began]

    def pour(self) -> Steps:
        while True:
            since = self.env.now
            ends = [-(-move.left // move.rate) for move in self.moves if move.rate]
            yield self.env.any_of([self.begun, *[self.env.timeout(min(ends)) for _ in ends[:1]]])
            if self.begun.triggered:
                self.begun = self.env.event()
            for move in self.moves:
                move.left -= move.rate * (self.env.now - since)
                if move.left <= 0:
                    move.over.succeed()
            self.moves = [move for move in self.moves if move.left > 0]
            self.share()

    def share(self) -> None:
        caps = {move.port: self.chip.port_millibytes(self.chip.port[move.port]) for move in self.moves}
        for port, rate in levelled(caps, self.chip.ddr_millibytes).items():
            moves = sorted((move for move in self.moves if move.port == port), key=lambda move: move.job)
            for place, move in enumerate(moves):
                move.rate = rate // len(moves) + (place < rate % len(moves))


def levelled(caps: dict[int, int], total: int) -> dict[int, int]:
    """What each port gets of `total`: the highest level that all may have, no port above its cap, and one more for some."""
    level = 0
    for bit in reversed(range(total.bit_length())):
        if sum(min(cap, level + 2**bit) for cap in caps.values()) <= total:
            level += 2**bit
    rates = {port: min(cap, level) for port, cap in caps.items()}
    rest = total - sum(rates.values())
    for port in sorted((port for port, cap in caps.items() if cap > level), key=lambda port: (-caps[port], -port))[
        :rest
    ]:
        rates[port] += 1
    return rates
