"""What must hold for every workload, chip and policy: the analytic checks of the moe_fpga sheet 4.6, on random ones."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.simulator.chip import MILLI, Chip
from edge.simulator.chip_parts import Activations, Granularity, Role
from edge.simulator.engine import run
from edge.simulator.frames import program
from edge.simulator.policies import Kind, Misses, Policy, lru_visits
from edge.simulator.program import Program, Unit
from edge.simulator.simulation import FrameCosts
from edge.simulator.timeline import Timeline, simulate
from edge.simulator.workload import Scope, Workload
from tests.fakes import step_simulator as oracle
from tests.fakes.random_designs import TOY, triples

MANY = settings(max_examples=2000, deadline=None, derandomize=True, database=None)
"""The same 2,000 examples every time."""
FEWER = settings(max_examples=400, deadline=None, derandomize=True, database=None)


def alone(job, on):
    """Cycles of one job when nothing else happens."""
    return run(Program((replace(job, after=()),), (), 0, 0), on)[0].end


def lies_between_the_bounds(timeline: Timeline) -> None:
    on, jobs, total = timeline.chip, timeline.program.jobs, timeline.cycles
    arrays = {Unit.LINEAR: on.array.linear.macs_per_cycle, Unit.ATTENTION: on.array.attn.macs_per_cycle}
    for unit, macs_per_cycle in arrays.items():
        assert total >= Fraction(sum(job.macs for job in jobs if job.unit is unit), macs_per_cycle)
    moved: Counter[int] = Counter()
    for transfer in (transfer for job in jobs for transfer in job.transfers):
        moved[on.port_of(transfer.role)] += transfer.size * MILLI
    assert all(total >= Fraction(size, on.port_millibytes(on.port[port])) for port, size in moved.items())
    assert total >= Fraction(sum(moved.values()), on.ddr_millibytes)

    contended = len(on.port) == 1 or on.ddr_millibytes < sum(map(on.port_millibytes, on.port))
    rounding = sum(len(job.transfers) for job in jobs) if contended else 0  # the rest of a cycle in which one ends
    assert total <= sum(alone(job, on) for job in jobs) + rounding


def accounts_for_every_cycle(timeline: Timeline) -> None:
    stalls, total = timeline.stalls, timeline.cycles
    assert stalls.compute + stalls.activation + stalls.weight + stalls.fill == total
    assert min(stalls.activation, stalls.weight) >= 0
    assert sum(row.cycles for row in timeline.operations) == total == sum(timeline.frame_cycles)


def keeps_within_its_memory(timeline: Timeline) -> None:
    assert timeline.on_chip_peak_bytes <= timeline.program.allocated_bytes <= timeline.chip.memory.usable_bytes
    assert all(level >= 0 for _, level in timeline.held_bytes)
    assert not timeline.held_bytes or timeline.held_bytes[-1][1] == 0


def starts_each_job_as_soon_as_it_may(timeline: Timeline) -> None:
    free = dict.fromkeys(Unit, 0)
    for job, span in zip(timeline.program.jobs, timeline.spans, strict=True):
        assert span.start == max([free[job.unit], *(timeline.spans[earlier].end for earlier in job.after)])
        free[job.unit] = span.end


@MANY
@given(triples())
def test_bounds_accounts_memory_and_order_hold(drawn):
    timeline = simulate(*drawn, ("a", "b"))
    lies_between_the_bounds(timeline)
    accounts_for_every_cycle(timeline)
    keeps_within_its_memory(timeline)
    starts_each_job_as_soon_as_it_may(timeline)


@FEWER
@given(triples())
def test_the_same_input_gives_the_same_timeline(drawn):
    once, again = simulate(*drawn, ("a", "b")), simulate(*drawn, ("a", "b"))
    assert (once.program, once.spans) == (again.program, again.spans)


@FEWER
@given(triples(kinds=(Kind.EXPERT_REORDER, Kind.TOKEN_LRU, Kind.RESIDENT)))
def test_a_task_switch_costs_nothing_where_experts_belong_to_nobody(drawn):
    assert FrameCosts(*drawn).switch_overhead("a", "b") == 0


@MANY
@given(triples(scopes=(Scope.EXPERTS,), kinds=(Kind.EXPERT_REORDER,)))
def test_reordering_loads_each_active_expert_once_and_one_buffer_makes_it_serial(drawn):
    work, on, policy = drawn
    routing, network = work.routing("a"), work.network
    timeline = simulate(work, on, replace(policy, buffers=1), ("a",))
    active = sum(length > 0 for length in routing.queues(0, network.experts))
    parts = 2 if policy.granularity is Granularity.MATRIX else 1
    loaded = sum(job.transfers[0].size for job in timeline.program.jobs if job.unit is Unit.LOADER)
    assert sum(routing.queues(0, network.experts)) == network.visits
    assert timeline.loads_of("experts") == active * parts
    assert loaded == active * 2 * on.precision.weight_bytes(network.matrix_weights)
    assert timeline.macs == network.visits * 2 * network.matrix_weights
    assert timeline.cycles == sum(alone(job, on) for job in timeline.program.jobs)


UNCONTENDED = ((False, False),)
"""Each role has a port of its own and the memory never binds, so that speed in one place cannot slow another."""


def faster_ports(on: Chip) -> Chip:
    wider = tuple(replace(port, bytes_per_cycle=port.bytes_per_cycle * 1.5) for port in on.port)
    return replace(on, port=wider, ddr=replace(on.ddr, gbytes_s=on.ddr.gbytes_s * 1.5))


def larger_array(on: Chip) -> Chip:
    linear = replace(on.array.linear, rows=2 * on.array.linear.rows, cols=on.array.linear.cols + 1)
    return replace(on, array=replace(on.array, linear=linear), limits=replace(on.limits, dsp=1000))


@pytest.mark.parametrize("improve", [faster_ports, larger_array])
def test_a_better_chip_is_never_slower(improve):
    @FEWER
    @given(triples(layouts=UNCONTENDED))
    def check(drawn):
        work, on, policy = drawn
        assert simulate(work, improve(on), policy, ("a",)).cycles <= simulate(work, on, policy, ("a",)).cycles

    check()


@FEWER
@given(triples(layouts=UNCONTENDED))
def test_one_more_buffer_never_makes_it_slower(drawn):
    work, on, policy = drawn
    more = replace(policy, buffers=policy.buffers + 1)
    assert simulate(work, on, more, ("a",)).cycles <= simulate(work, on, policy, ("a",)).cycles


@FEWER
@given(triples(layouts=UNCONTENDED, kinds=(Kind.TOKEN_LRU,)))
def test_a_larger_cache_never_misses_more_and_prefetch_is_never_slower(drawn):
    work, on, policy = drawn
    larger = simulate(work, on, replace(policy, cache=policy.cache + 1), ("a",))
    assert larger.loads_of("experts") <= simulate(work, on, policy, ("a",)).loads_of("experts")
    by_misses = {misses: simulate(work, on, replace(policy, misses=misses), ("a",)).cycles for misses in Misses}
    assert by_misses[Misses.PREFETCH] <= by_misses[Misses.BLOCKING]


@FEWER
@given(triples(scopes=(Scope.EXPERTS,), kinds=(Kind.EXPERT_REORDER, Kind.TOKEN_LRU)), st.integers(0, 999))
def test_reordering_computes_what_token_order_computes(drawn, seed):
    """Each visit adds an expert's output: whole numbers agree exactly, float32 within 1e-6 of the largest."""
    work, _, policy = drawn
    network, routes = work.network, work.routing("a").layers[0]
    generator = np.random.default_rng(seed)
    outputs = generator.normal(size=(network.experts, network.tokens, network.dim)).astype(np.float32)
    fixed = np.round(outputs * 2**16).astype(np.int64)
    names = [job.name for job in program(work, TOY, replace(policy, granularity=Granularity.EXPERT), ("a",)).jobs]
    computed = [int(name.split()[1]) for name in names if name.startswith("expert")]
    if policy.kind is Kind.TOKEN_LRU:
        visits = [(number // network.top_k, expert) for number, expert in enumerate(computed)]
    else:
        visits = [(int(token), expert) for expert in computed for token in np.nonzero(routes == expert)[0]]
    in_floats, exactly = np.zeros_like(outputs[0]), np.zeros_like(fixed[0])
    for token, expert in visits:
        in_floats[token] += outputs[expert, token]
        exactly[token] += fixed[expert, token]
    chosen = routes.T[..., None] == np.arange(network.experts)  # (k, N, E)
    np.testing.assert_array_equal(exactly, np.einsum("kne,end->nd", chosen, fixed))
    expected = np.einsum("kne,end->nd", chosen, outputs.astype(np.float64))
    np.testing.assert_allclose(in_floats, expected, rtol=0, atol=1e-6 * float(np.abs(outputs).sum(0).max()))


def oracle_cycles(work: Workload, on: Chip, policy: Policy) -> int:
    """The same layer by the simulator that walks from cycle to cycle."""
    network, linear = work.network, on.array.linear
    rows, wide, deep = network.tokens, network.expert_hidden, network.dim
    first = -(-wide // linear.rows) * -(-deep // linear.cols)
    second = -(-deep // linear.rows) * -(-wide // linear.cols)
    matrix = -(-wide * deep * on.precision.weight_bits // 8)
    size = on.precision.act_bits // 8
    in_dram = on.memory.activations is Activations.DRAM
    ports = {role: index for index, port in enumerate(on.port) for role in port.carries}

    def item(tokens, sides, load, fill):
        moved = []
        for inputs, outputs, passes in sides:
            moved += [
                (ports[Role.INPUT], tokens * inputs * size),
                (ports[Role.OUTPUT], passes * tokens * outputs * size),
            ]
        cycles = sum(tokens * (first if passes == 1 else second) for _, _, passes in sides)
        return oracle.Item(load, cycles, fill, moved if in_dram else [])

    one, two = (deep, wide, 1), (wide, deep, 2)
    machine = oracle.Machine(
        burst=on.burst_cycles,
        port_rates=[on.port_millibytes(port) for port in on.port],
        ddr=on.ddr_millibytes,
        weight_port=ports[Role.WEIGHTS],
    )
    rate = min(machine.port_rates[machine.weight_port], machine.ddr)
    load = machine.burst + -(-2 * matrix * 1000 // rate)
    routes = work.routing("a").layers[0].tolist()
    assert len(routes) == rows
    if policy.kind is Kind.TOKEN_LRU:
        items = oracle.token_items(
            routes,
            policy.cache,
            policy.misses is Misses.PREFETCH,
            lambda is_first: item(1, (one, two), 0, 2 * linear.fill * is_first),
            2 * matrix,
        )
        return oracle.cycles(items, machine, None)

    def parts(tokens):
        if policy.granularity is Granularity.MATRIX:
            return [item(tokens, (side,), matrix, linear.fill) for side in (one, two)]
        return [item(tokens, (one, two), 2 * matrix, 2 * linear.fill)]

    items = oracle.reorder_items(routes, policy.order.value, parts, load, first + second)
    return oracle.cycles(items, machine, policy.buffers)


ONE_PORT_OR_PLENTY = ((True, True), (True, False), (False, False))
"""How several ports share a scarce memory is tested apart, by hand."""


@settings(MANY, max_examples=600)
@given(triples(scopes=(Scope.EXPERTS,), kinds=(Kind.EXPERT_REORDER, Kind.TOKEN_LRU), layouts=ONE_PORT_OR_PLENTY))
def test_a_simulator_that_walks_from_cycle_to_cycle_agrees(drawn):
    work, on, policy = drawn
    assert simulate(work, on, policy, ("a",)).cycles == oracle_cycles(work, on, policy)


def test_the_cache_evicts_the_least_recently_used():
    generator = random.Random(0)
    routes = np.array([[generator.randrange(6)] for _ in range(500)])
    for capacity in range(1, 8):
        recent: list[int] = []
        for visit, (expert,) in zip(lru_visits(routes, capacity), routes.tolist(), strict=True):
            assert visit.miss == (expert not in recent[-capacity:])
            recent = [other for other in recent if other != expert] + [expert]
