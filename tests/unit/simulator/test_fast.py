"""The fast path against the event engine: the same cycle on every random program, shared ports and scarce memory included."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.simulator.chip import Chip, chip
from edge.simulator.chip_parts import DenseLoads, Granularity
from edge.simulator.engine import run
from edge.simulator.fast import Bus, stretches
from edge.simulator.frames import program
from edge.simulator.outline import frame_cycles, repeated_blocks
from edge.simulator.policies import Kind, Misses, Order, Policy, policy
from edge.simulator.program import Program
from edge.simulator.timeline import simulate
from edge.simulator.workload import Network, Routing, Workload, uniform, zipf
from tests.fakes.random_designs import triples

MANY = settings(max_examples=500, deadline=None, derandomize=True, database=None)
SOME = settings(max_examples=250, deadline=None, derandomize=True, database=None)


def fast(written: Program, on: Chip) -> int:
    bus = Bus.of(on)
    return sum(bus.cycles(stretch) for stretch in stretches(written))


def engine(written: Program, on: Chip) -> int:
    return max((span.end for span in run(written, on)), default=0)


@MANY
@given(triples(), st.sampled_from([("a",), ("a", "b"), ("b", "a", "a")]))
def test_frames_of_random_designs_take_the_cycles_that_the_engine_counts(drawn, tasks):
    work, on, policy = drawn
    written = program(work, on, policy, tasks)
    assert fast(written, on) == engine(written, on)


@MANY
@given(triples(layouts=((True, True), (False, True)), kinds=(Kind.EXPERT_REORDER, Kind.TOKEN_LRU)))
def test_loads_that_slow_computation_are_counted_to_the_cycle(drawn):
    work, on, policy = drawn
    busy = replace(on, control=replace(on.control, dense_loads=DenseLoads.AHEAD))
    written = program(work, busy, policy, ("a",))
    assert fast(written, busy) == engine(written, busy)


@SOME
@given(triples(), st.integers(3, 5), st.booleans())
def test_a_frame_whose_blocks_repeat_is_written_in_part_and_counted_in_full(drawn, times, same):
    work, on, policy = drawn
    network = replace(work.network, moe=work.network.moe * times)
    layers = work.routing("a").layers * times if same else zipf(network, exponent=1, seed=times).layers
    longer = Workload("longer", network, (("a", Routing("repeated", layers)),))
    roomy = replace(on, memory=replace(on.memory, bram_bytes=10**8))
    assert frame_cycles(longer, roomy, policy, "a") == simulate(longer, roomy, policy, ("a",)).cycles


@pytest.mark.parametrize("board", ["zcu104", "zcu102_edgemoe"])
@pytest.mark.parametrize("misses", Misses)
@pytest.mark.parametrize("efficiency", [1, 0.9])
def test_a_tiny_frame_from_a_cache_of_experts(board, misses, efficiency):
    on = chip(board)
    on = replace(on, ddr=replace(on.ddr, efficiency=efficiency, background_bytes_per_cycle=8))
    network = Network(
        tokens=33, dim=192, heads=3, hidden=768, experts=16, top_k=2, expert_hidden=384, moe=(False, True) * 2
    )
    work = Workload("tiny", network, (("a", zipf(network, exponent=1)),))
    cached = policy(on, Kind.TOKEN_LRU, cache=3, misses=misses)
    assert frame_cycles(work, on, cached, "a") == simulate(work, on, cached, ("a",)).cycles


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("granularity", Granularity)
def test_a_tiny_frame_on_ports_wider_than_the_memory(order, granularity):
    on = chip("zcu104")
    on = replace(on, port=tuple(replace(port, bytes_per_cycle=40) for port in on.port))
    network = Network(
        tokens=65, dim=192, heads=3, hidden=768, experts=16, top_k=2, expert_hidden=384, moe=(False, True) * 3
    )
    work = Workload("tiny", network, (("a", zipf(network, exponent=1, seed=3)),))
    way = Policy(Kind.EXPERT_REORDER, 2, granularity, order)
    assert frame_cycles(work, on, way, "a") == simulate(work, on, way, ("a",)).cycles


def test_identical_layers_are_found():
    network = Network(tokens=4, dim=4, heads=1, hidden=8, experts=4, top_k=1, expert_hidden=4, moe=(False, True) * 3)
    assert repeated_blocks(network, uniform(network)) == 2
    assert repeated_blocks(network, zipf(network, exponent=0)) == 6


def test_a_blocking_frame_is_cut_at_every_operation():
    """Edge-MoE fetches the weights of a dense layer after the layer before it, so only its experts overlap."""
    on = chip("zcu102_edgemoe")
    network = Network(tokens=9, dim=192, heads=3, hidden=768, experts=4, top_k=1, expert_hidden=384, moe=(False, True))
    work = Workload("two blocks", network, (("a", uniform(network)),))
    counted = Counter(
        stretch.steps[0].work.operation
        for stretch in stretches(program(work, on, policy(on, Kind.EXPERT_REORDER), ("a",)))
    )
    assert counted == {
        "patch embedding": 2, "layer norm": 4, "linear": 8, "attention scores": 2, "attention values": 2,
        "residual add": 4, "mlp": 2, "experts": 1,
    }  # fmt: skip


def test_a_program_whose_computations_run_side_by_side_is_refused():
    on = chip("toy")
    network = Network(tokens=2, dim=4, heads=1, hidden=8, experts=2, top_k=1, expert_hidden=4, moe=(False,))
    written = program(
        Workload("w", network, (("a", Routing("none", ())),)), on, policy(on, Kind.EXPERT_REORDER), ("a",)
    )
    apart = Program(tuple(replace(job, after=()) for job in written.jobs), (), 0, 0)
    with pytest.raises(UsageError, match="does not wait") as refused:
        stretches(apart)
    assert "event engine" in refused.value.hint
