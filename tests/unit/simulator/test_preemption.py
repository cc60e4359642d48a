"""Urgent frames that take the chip from a running one: by hand on the toy, and by its rules on random designs."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge.errors import UnknownNameError, UsageError
from edge.simulator.chip import chip
from edge.simulator.frames import program
from edge.simulator.policies import Kind, Prediction, policy
from edge.simulator.preemption import Boundary, interrupted, next_boundary
from edge.simulator.program import Traffic, Unit
from edge.simulator.schedule import Arrival, schedule
from edge.simulator.timeline import simulate
from edge.simulator.urgent import Cost, serve_urgent
from edge.simulator.workload import Workload
from edge.simulator.workloads import workload
from tests.fakes.random_designs import triples
from tests.unit.simulator.test_properties import (
    accounts_for_every_cycle,
    keeps_within_its_memory,
    lies_between_the_bounds,
    starts_each_job_as_soon_as_it_may,
)

TOY, ROUTES = chip("toy"), workload("toy").routing("task0")
WORK = Workload("two", workload("toy").network, (("calm", ROUTES), ("alarm", ROUTES)))
REORDER = policy(TOY, Kind.EXPERT_REORDER)
US = 1e-3 / 100
"""ms of a cycle at 100 MHz."""


def toy_interrupted_at(at):
    running = simulate(WORK, TOY, REORDER, ("calm",))
    cut = next_boundary(running, at, Boundary.EXPERT)
    return interrupted(running, program(WORK, TOY, REORDER, ("alarm",)), at=at, cut=cut)


def test_a_toy_frame_that_is_left_after_its_first_expert():
    """Expert 0 ends in cycle 144. The context: 7 queue entries of 4 bytes, 5 bounds of 2, twice 6 · 8 values of 2: 230.

    It shares the port with the first load of the urgent frame, 4 bytes a cycle each: saved in 58 cycles (202); the
    load has 280 bytes left and ends in 237, and 192 cycles of computation follow (429). Back the same way: restored
    in 487, expert 1 loaded again in 522, computed in 586, expert 2 in 634.
    """
    found = toy_interrupted_at(100)
    assert (found.start, found.end, found.timeline.cycles) == (202, 429, 634)
    assert found.timeline.dram_bytes == {Traffic.WEIGHTS: 3072, Traffic.WASTED: 512, Traffic.CONTEXT: 460}


def test_the_load_that_has_not_begun_when_the_urgent_frame_arrives_is_not_wasted():
    """In cycle 64 expert 0 has just been loaded, and the load of expert 1 would begin."""
    assert Traffic.WASTED not in toy_interrupted_at(64).timeline.dram_bytes
    assert toy_interrupted_at(65).timeline.dram_bytes[Traffic.WASTED] == 512


def test_the_context_shrinks_with_the_queues():
    first, second = toy_interrupted_at(144), toy_interrupted_at(145)
    assert first.timeline.dram_bytes[Traffic.CONTEXT] - second.timeline.dram_bytes[Traffic.CONTEXT] == 2 * 4 * 4


@pytest.mark.parametrize(
    ("boundary", "cuts"),
    [
        (Boundary.FRAME, [None, None, None]),
        (Boundary.EXPERT, [144, 208, None]),  # expert 2 ends the frame
        (Boundary.OPERATION, [144, 208, None]),
    ],
)
def test_where_a_toy_frame_can_be_left(boundary, cuts):
    running = simulate(WORK, TOY, REORDER, ("calm",))
    found = [next_boundary(running, at, boundary) for at in (144, 145, 209)]
    assert [None if cut is None else running.spans[cut].end for cut in found] == cuts


def test_edge_moe_is_left_between_operations_without_any_context():
    board, work = chip("zcu102_edgemoe"), workload("edge-moe")
    running = simulate(work, board, policy(board, Kind.EXPERT_REORDER), ("task0",))
    first = next_boundary(running, 0, Boundary.OPERATION)
    expert = next_boundary(running, 0, Boundary.EXPERT)
    assert (running.program.jobs[first].name, running.program.jobs[first].context_bytes) == ("patch write", 0)
    assert running.program.jobs[expert].operation == "experts"
    assert running.program.jobs[expert].name.endswith("matrix 2")


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    triples(kinds=(Kind.EXPERT_REORDER,)),
    st.sampled_from([Boundary.EXPERT, Boundary.OPERATION]),
    st.floats(0, 1, exclude_max=True),
)
def test_bounds_accounts_memory_and_order_hold_when_a_frame_is_left(drawn, boundary, share):
    work, on, way = drawn
    running, urgent = simulate(work, on, way, ("a",)), simulate(work, on, way, ("b",))
    at = int(share * running.cycles)
    cut = next_boundary(running, at, boundary)
    assume(cut is not None)
    found = interrupted(running, urgent.program, at=at, cut=cut)
    whole = found.timeline
    lies_between_the_bounds(whole)
    accounts_for_every_cycle(whole)
    keeps_within_its_memory(whole)
    starts_each_job_as_soon_as_it_may(whole)
    assert at <= found.start < found.end < whole.cycles
    assert whole.macs == running.macs + urgent.macs
    for traffic, size in whole.dram_bytes.items():
        if traffic not in {Traffic.CONTEXT, Traffic.WASTED}:
            assert size == running.dram_bytes.get(traffic, 0) + urgent.dram_bytes.get(traffic, 0)
    assert whole.spans == interrupted(running, urgent.program, at=at, cut=cut).timeline.spans
    assert not {Unit.LOADER} & {job.unit for job in whole.program.jobs if job.context_bytes is not None}


def served(boundary, *arrivals):
    return serve_urgent(
        WORK, TOY, REORDER, [Arrival(at * US, task, 400 * US) for at, task in arrivals], "alarm", boundary
    )


def cycles(frames):
    return [(frame.arrival.task, round(frame.wait_ms / US), round(frame.latency_ms / US)) for frame in frames]


def test_an_urgent_frame_waits_for_the_end_of_the_frame_or_of_the_expert():
    arrivals = ((0, "calm"), (100, "alarm"))
    at_frames, at_experts = (served(boundary, *arrivals) for boundary in (Boundary.FRAME, Boundary.EXPERT))
    assert cycles(at_frames.served) == [("calm", 0, 256), ("alarm", 156, 412)]
    assert cycles(at_experts.served) == [("alarm", 102, 329), ("calm", 0, 634)]
    assert [frame.missed for frame in (*at_frames.urgent, *at_experts.urgent)] == [True, False]
    assert at_frames.cost == Cost()
    assert at_experts.cost == Cost(preemptions=1, lost_cycles=634 - 512, context_bytes=460, reloaded_bytes=512)


def test_two_urgent_frames_follow_each_other_before_the_frame_goes_on():
    found = served(Boundary.EXPERT, (0, "calm"), (100, "alarm"), (110, "alarm"))
    assert cycles(found.served) == [("alarm", 102, 329), ("alarm", 319, 575), ("calm", 0, 890)]
    assert found.cost.preemptions == 2


def test_an_urgent_frame_goes_before_others_that_wait_longer():
    found = served(Boundary.FRAME, (0, "calm"), (1, "calm"), (2, "alarm"))
    assert [frame.arrival.task for frame in found.served] == ["calm", "alarm", "calm"]


def test_a_free_chip_serves_at_once():
    found = served(Boundary.EXPERT, (5, "alarm"), (1000, "calm"))
    assert cycles(found.served) == [("alarm", 0, 256), ("calm", 0, 256)]


def test_on_edge_moe_the_wait_shrinks_with_the_distance_of_the_boundaries():
    board, work = chip("zcu102_edgemoe"), workload("edge-moe")
    calm = [Arrival(0, "task0")] * 4
    urgent = [Arrival(10.0 + 37 * turn, "task1") for turn in range(3)]
    worst = {
        boundary: max(
            frame.wait_ms
            for frame in serve_urgent(
                work, board, policy(board, Kind.EXPERT_REORDER), [*calm, *urgent], "task1", boundary
            ).urgent
        )
        for boundary in Boundary
    }
    assert worst[Boundary.OPERATION] <= worst[Boundary.EXPERT] < worst[Boundary.FRAME]


def test_arrivals_without_a_time_are_refused():
    with pytest.raises(UsageError, match="arrivals with a time"):
        serve_urgent(WORK, TOY, REORDER, [Arrival(None, "calm")], "alarm", Boundary.EXPERT)


def test_arrivals_without_an_urgent_frame_are_refused():
    with pytest.raises(UsageError, match="no frame of alarm"):
        served(Boundary.EXPERT, (0, "calm"))


def test_an_unknown_urgent_task_names_the_nearest():
    with pytest.raises(UnknownNameError) as refused:
        serve_urgent(WORK, TOY, REORDER, [Arrival(0, "calm")], "alarmm", Boundary.EXPERT)
    assert "alarm" in refused.value.hint


@pytest.mark.parametrize("kind", [Kind.TOKEN_LRU, Kind.RESIDENT, Kind.TASK_MODEL_SWAP])
def test_only_reordered_experts_can_be_left(kind):
    with pytest.raises(UsageError, match="cannot be preempted"):
        serve_urgent(WORK, TOY, policy(TOY, kind), [Arrival(0, "calm")], "alarm", Boundary.EXPERT)


def test_urgent_frames_and_predictions_exclude_each_other():
    guessing = policy(TOY, Kind.EXPERT_REORDER, prediction=Prediction.LAST_FRAME)
    with pytest.raises(UsageError, match="no last frame"):
        serve_urgent(WORK, TOY, guessing, [Arrival(0, "alarm")], "alarm", Boundary.EXPERT)


def test_the_same_arrivals_are_served_the_same_way_twice():
    arrivals = schedule("poisson:300000", ("calm", "alarm"), frames=60, deadline_ms=None, seed=4)
    once, again = (serve_urgent(WORK, TOY, REORDER, arrivals, "alarm", Boundary.EXPERT) for _ in range(2))
    assert once == again
    assert len(once.served) == 60
    assert once.cost.preemptions > 0
