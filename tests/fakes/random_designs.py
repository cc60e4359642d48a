"""Random workloads, chips and policies for the simulator's tests: small, so that every rule meets every other often."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from edge.simulator.chip import Chip, chip
from edge.simulator.chip_parts import Activations, DenseLoads, Granularity, Port, QueueLayout, Role
from edge.simulator.policies import Kind, Misses, Order, Policy
from edge.simulator.workload import Network, Scope, Workload, zipf

TOY = chip("toy")


@dataclass(frozen=True)
class Wanted:
    """What a random triple is drawn from. `shared`: one port carries all; `scarce`: the memory binds before the ports."""

    scopes: tuple[Scope, ...] = tuple(Scope)
    kinds: tuple[Kind, ...] = tuple(Kind)
    layouts: tuple[tuple[bool, bool], ...] = ((True, True), (True, False), (False, True), (False, False))


Triple = tuple[Workload, Chip, Policy]


def triples(**wanted) -> st.SearchStrategy[Triple]:
    """Random (workload, chip, policy); hypothesis draws the seed, as drawing every size would take ten times as long."""
    return st.integers(0, 2**48).map(lambda seed: triple(random.Random(seed), Wanted(**wanted)))


def triple(draw: random.Random, wanted: Wanted) -> Triple:
    return workload(draw, draw.choice(wanted.scopes)), design(draw, *draw.choice(wanted.layouts)), policy(draw, wanted)


def workload(draw: random.Random, scope: Scope) -> Workload:
    """Sizes of a few values each; two tasks with routings of their own."""
    experts, heads = draw.randint(1, 5), draw.randint(1, 2)
    network = Network(
        tokens=draw.randint(1, 8),
        dim=heads * draw.randint(1, 6),
        heads=heads,
        hidden=draw.randint(1, 12),
        experts=experts,
        top_k=draw.randint(1, experts),
        expert_hidden=draw.randint(1, 8),
        moe=(True,) if scope is Scope.EXPERTS else tuple(draw.choices((False, True), k=draw.randint(1, 2))),
        patch_inputs=draw.randint(0, 9),
        scope=scope,
    )
    routings = [zipf(network, exponent=draw.choice((0, 1, 2)), seed=draw.randrange(10**6)) for _ in range(2)]
    return Workload("random", network, tuple(zip(("a", "b"), routings, strict=True)))


def design(draw: random.Random, shared: bool, scarce: bool) -> Chip:
    """A chip with room for everything."""
    rates = [draw.randint(1, 12) for _ in Role]
    apart = tuple(Port(role.value, rate, (role,)) for role, rate in zip(Role, rates, strict=True))
    together = (Port("all", rates[0], tuple(Role)),)
    ddr = max(2, rates[0] // 2) if scarce else sum(rates) + 1
    linear = replace(TOY.array.linear, rows=draw.randint(1, 4), cols=draw.randint(1, 4), fill=draw.randint(0, 3))
    attention = replace(TOY.array.attn, queries=draw.randint(1, 2), lanes=draw.randint(1, 4))
    return replace(
        TOY,
        array=replace(TOY.array, linear=linear, attn=attention),
        stream=replace(TOY.stream, fill=draw.randint(0, 3), gate_token=draw.randint(0, 3)),
        memory=replace(TOY.memory, bram_bytes=1_000_000, activations=draw.choice([*Activations])),
        ddr=replace(
            TOY.ddr,
            gbytes_s=ddr / 10,  # at 100 MHz
            efficiency=draw.choice((1, 0.9, 0.5)),
            burst_latency_ns=draw.randint(0, 3) * 10,
        ),
        port=together if shared else apart,
        buffers=replace(TOY.buffers, weight_bytes=draw.randint(400, 800)),
        queue=replace(TOY.queue, layout=draw.choice([*QueueLayout])),
        control=replace(TOY.control, dense_loads=draw.choice([*DenseLoads])),
        precision=replace(TOY.precision, weight_bits=draw.choice((8, 16))),
    )


def policy(draw: random.Random, wanted: Wanted) -> Policy:
    return Policy(
        kind=draw.choice(wanted.kinds),
        buffers=draw.randint(1, 4),
        granularity=draw.choice([*Granularity]),
        order=draw.choice([*Order]),
        cache=draw.randint(1, 5),
        misses=draw.choice([*Misses]),
    )
