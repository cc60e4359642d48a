"""Frames batched layer by layer: an expert loads once for all of them, and nothing that is computed changes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from edge.errors import UnknownNameError, UsageError
from edge.simulator.batching import batching
from edge.simulator.chip import chip
from edge.simulator.chip_parts import Granularity
from edge.simulator.engine import Span
from edge.simulator.frames import batched_program
from edge.simulator.policies import Kind, Order, Prediction, policy
from edge.simulator.program import Traffic, Unit
from edge.simulator.timeline import timeline
from edge.simulator.workload import Scope, queue_lengths
from edge.simulator.workloads import workload
from tests.fakes.random_designs import triples
from tests.unit.simulator.test_properties import (
    accounts_for_every_cycle,
    keeps_within_its_memory,
    lies_between_the_bounds,
    starts_each_job_as_soon_as_it_may,
)

TOY, WORK = chip("toy"), workload("toy")
REORDER = policy(TOY, Kind.EXPERT_REORDER)
SOME = settings(max_examples=200, deadline=None, derandomize=True, database=None)
ONE_WAY = {"kinds": (Kind.EXPERT_REORDER,)}


def test_two_toy_frames_with_queues_of_ten_eight_and_six():
    """Apart 256 each; together 64 + max(160, 64) + max(128, 64) + 96."""
    found = batching(WORK, TOY, REORDER, ("task0", "task0"))
    assert (found.apart.cycles, found.together.cycles, found.gain) == (512, 448, 0.125)
    assert (found.apart.dram_bytes, found.together.dram_bytes) == ({Traffic.WEIGHTS: 3072}, {Traffic.WEIGHTS: 1536})
    assert found.first_frame_delay == 448 - 256


def test_the_spans_of_the_toy_batch_are_those_done_by_hand():
    found = batching(WORK, TOY, REORDER, ("task0", "task0")).together
    pairs = list(zip(found.program.jobs, found.spans, strict=True))
    assert [span for job, span in pairs if job.unit is Unit.LOADER] == [Span(0, 64), Span(64, 128), Span(224, 288)]
    assert [span for job, span in pairs if job.unit is Unit.LINEAR] == [Span(64, 224), Span(224, 352), Span(352, 448)]


def test_edge_moe_loads_thirteen_experts_a_layer_for_both_tasks_instead_of_twenty_five():
    board, work = chip("zcu102_edgemoe"), workload("edge-moe")
    found = batching(work, board, policy(board, Kind.EXPERT_REORDER), ("task0", "task1"))
    assert found.apart.loads_of("experts") == 6 * 2 * (12 + 13)
    assert found.together.loads_of("experts") == 6 * 2 * 13
    assert found.together.macs == found.apart.macs
    assert found.together.cycles < found.apart.cycles


def visits(work, on, way, tasks):
    """(frame, token, expert) in the order in which the jobs of a layer of experts compute them."""
    by_whole = replace(way, granularity=Granularity.EXPERT)
    names = [job.name for job in batched_program(work, on, by_whole, [tasks]).jobs if job.unit is not Unit.LOADER]
    experts = [int(name.split()[1]) for name in names if name.startswith("expert")]
    routes = [work.routing(task).layers[0] for task in tasks]
    return [
        (frame, int(token), expert)
        for expert in experts
        for frame, own in enumerate(routes)
        for token in np.nonzero(own == expert)[0]
    ]


@SOME
@given(triples(scopes=(Scope.EXPERTS,), **ONE_WAY))
def test_every_visit_is_made_once_and_each_token_meets_its_experts_in_the_same_order(drawn):
    work, on, way = drawn
    way = replace(way, order=Order.INDEX)
    together = visits(work, on, way, ("a", "b"))
    for frame, task in enumerate(("a", "b")):
        own = [(token, expert) for member, token, expert in together if member == frame]
        alone = [(token, expert) for _, token, expert in visits(work, on, way, (task,))]
        assert own == alone
        assert len({*own}) == len(own) == work.network.visits


@SOME
@given(triples(scopes=(Scope.EXPERTS,), **ONE_WAY))
def test_in_any_order_of_experts_the_visits_and_so_the_fixed_point_sums_are_the_same(drawn):
    work, on, way = drawn
    together = visits(work, on, way, ("a", "b"))
    apart = [(int(task == "b"), *visit[1:]) for task in ("a", "b") for visit in visits(work, on, way, (task,))]
    assert Counter(together) == Counter(apart)
    outputs = np.random.default_rng(0).integers(-(2**40), 2**40, size=(2, work.network.tokens, work.network.experts))
    sums = [np.zeros((2, work.network.tokens), dtype=np.int64) for _ in range(2)]
    for total, order in zip(sums, (together, apart), strict=True):
        for frame, token, expert in order:
            total[frame, token] += outputs[frame, token, expert]
    np.testing.assert_array_equal(*sums)


@SOME
@given(triples(**ONE_WAY))
def test_bounds_accounts_memory_and_order_hold_of_batches(drawn):
    found = timeline(batched_program(*drawn, [("a", "b"), ("b", "b")]), drawn[1])
    lies_between_the_bounds(found)
    accounts_for_every_cycle(found)
    keeps_within_its_memory(found)
    starts_each_job_as_soon_as_it_may(found)
    again = timeline(batched_program(*drawn, [("a", "b"), ("b", "b")]), drawn[1])
    assert (found.program, found.spans) == (again.program, again.spans)


@SOME
@given(triples(scopes=(Scope.EXPERTS,), **ONE_WAY))
def test_a_merged_layer_loads_each_active_expert_once(drawn):
    work, on, way = drawn
    both = np.concatenate([work.routing(task).layers[0] for task in ("a", "b")])
    active = sum(length > 0 for length in queue_lengths(both, work.network.experts))
    found = batching(work, on, way, ("a", "b")).together
    loaded = sum(job.transfers[0].size for job in found.program.jobs if job.unit is Unit.LOADER)
    assert loaded == active * 2 * on.precision.weight_bytes(work.network.matrix_weights)
    assert found.macs == 2 * work.network.visits * 2 * work.network.matrix_weights


@SOME
@given(triples(scopes=(Scope.EXPERTS,), layouts=((False, False),), **ONE_WAY))
def test_a_batch_of_equal_frames_is_never_slower_than_the_frames_apart(drawn):
    """Ports and memory do not bind each other, so fewer loads cannot slow anything."""
    found = batching(*drawn, ("a", "a"))
    assert found.together.cycles <= found.apart.cycles


def test_a_batch_of_one_is_refused():
    with pytest.raises(UsageError, match="a batch of 1"):
        batching(WORK, TOY, REORDER, ("task0",))


def test_a_lone_batch_is_not_predicted():
    guessing = replace(REORDER, prediction=Prediction.LAST_FRAME)
    with pytest.raises(UsageError, match="no last frame"):
        batching(WORK, TOY, guessing, ("task0", "task0"))


@pytest.mark.parametrize("kind", [Kind.TOKEN_LRU, Kind.RESIDENT, Kind.TASK_MODEL_SWAP])
def test_only_reordered_experts_can_be_batched(kind):
    with pytest.raises(UsageError, match="cannot batch"):
        batching(WORK, TOY, policy(TOY, kind), ("task0", "task0"))


def test_an_unknown_task_is_refused():
    with pytest.raises(UnknownNameError):
        batching(WORK, TOY, REORDER, ("task0", "task9"))


def test_a_batch_that_does_not_fit_says_by_how_many_bytes():
    small = replace(TOY, memory=replace(TOY.memory, bram_bytes=2600))
    with pytest.raises(UsageError, match=r"bytes, .* more than the 2,600") as refused:
        batching(WORK, small, REORDER, ("task0",) * 8)
    assert refused.value.hint == "batch fewer frames"


def test_a_batch_of_four_loads_no_more_than_one_of_two():
    board, work = chip("zcu102_edgemoe"), workload("edge-moe")
    two, four = (batching(work, board, policy(board, Kind.EXPERT_REORDER), work.task_names * times) for times in (1, 2))
    assert four.together.loads_of("experts") == two.together.loads_of("experts")
    assert four.gain > two.gain
