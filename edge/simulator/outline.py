"""A frame as stretches and how often each occurs: blocks that repeat are written once, attention can be exchanged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from edge.simulator.chip import Chip
from edge.simulator.fast import Bus, Step, Stretch, Work, stretches
from edge.simulator.frames import program
from edge.simulator.policies import Policy
from edge.simulator.program import Unit
from edge.simulator.workload import Network, Routing, Scope, Workload

Outline = Counter[Stretch]

GATE = "gate"
"""The operation after which it is known which experts are wanted."""


def frame_cycles(workload: Workload, chip: Chip, policy: Policy, task: str) -> int:
    """The cycles of one frame, those of `simulate(…).cycles`, without its events. Raises `UsageError` as it does."""
    return cycles(outline(workload, chip, policy, task), Bus.of(chip))


def cycles(outlined: Outline, bus: Bus) -> int:
    return sum(count * bus.cycles(stretch) for stretch, count in outlined.items())


def dram_bytes(outlined: Outline) -> int:
    return sum(count * stretch.dram_bytes for stretch, count in outlined.items())


def outline(workload: Workload, chip: Chip, policy: Policy, task: str) -> Outline:
    """The stretches of one frame of `task`. Raises `UsageError` when it does not fit or the task is unknown.

    Where the network repeats a group of blocks, only two groups are written. A gate ends a stretch, as nobody knows
    before it where the tokens go; so from the first gate of a group to that of the next, all further groups are alike.
    """
    network, routing = workload.network, workload.routing(task)
    period = repeated_blocks(network, routing)
    repeats, moe_layers = len(network.moe) // period, sum(network.moe[:period])
    if repeats > 2 and moe_layers:
        two = _first_blocks(workload, task, 2 * period, chip, policy)
        gates = [end for end, stretch in enumerate(two, start=1) if stretch.steps[-1].work.operation == GATE]
        if len(gates) == 2 * moe_layers:
            again = Counter(two[gates[0] : gates[moe_layers]])
            return Counter(two) + Counter({stretch: (repeats - 2) * count for stretch, count in again.items()})
    return Counter(stretches(program(workload, chip, policy, (task,))))


def repeated_blocks(network: Network, routing: Routing) -> int:
    """The fewest blocks whose repetition is the whole network, routing included."""
    blocks = len(network.moe)

    def repeats(period: int) -> bool:
        moe = sum(network.moe[:period])
        same = network.moe == network.moe[:period] * (blocks // period)
        return same and all(np.array_equal(a, b) for a, b in zip(routing.layers, routing.layers[moe:], strict=False))

    return next(period for period in range(1, blocks + 1) if blocks % period == 0 and repeats(period))


def _first_blocks(workload: Workload, task: str, blocks: int, chip: Chip, policy: Policy) -> tuple[Stretch, ...]:
    network = replace(workload.network, moe=workload.network.moe[:blocks])
    routing = workload.routing(task)
    shorter = Workload(workload.name, network, ((task, Routing(routing.origin, routing.layers[: network.moe_layers])),))
    return stretches(program(shorter, chip, policy, (task,)))


def attention_works(workload: Workload, chip: Chip, policy: Policy) -> dict[str, Work]:
    """By operation, what a block asks of the attention arrays of `chip`."""
    network = replace(workload.network, moe=(False,), patch_inputs=0)
    if network.scope is Scope.EXPERTS:
        return {}
    block = program(Workload("block", network, (("block", Routing("none", ())),)), chip, policy, ("block",))
    operations = {job.operation for job in block.jobs if job.unit is Unit.ATTENTION}
    works = (step.work for stretch in stretches(block) for step in stretch.steps)
    return {work.operation: work for work in works if work.operation in operations}


def with_attention(outlined: Outline, works: Mapping[str, Work]) -> Outline:
    """The same frame with other attention arrays."""
    return Counter({_exchanged(stretch, works): count for stretch, count in outlined.items()})


def _exchanged(stretch: Stretch, works: Mapping[str, Work]) -> Stretch:
    if not any(step.work.operation in works for step in stretch.steps):
        return stretch
    return stretch._replace(
        steps=tuple(
            Step(works[step.work.operation], step.needs) if step.work.operation in works else step
            for step in stretch.steps
        )
    )
