"""The worked example of the moe_fpga sheet 4.5, every row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.simulator.chip import chip
from edge.simulator.chip_parts import Granularity
from edge.simulator.engine import Span
from edge.simulator.policies import Kind, Misses, Order, policy
from edge.simulator.program import Traffic, Unit
from edge.simulator.simulation import FrameCosts
from edge.simulator.timeline import simulate
from edge.simulator.workload import Workload, histogram
from edge.simulator.workloads import TOY as TOY_SIZES
from edge.simulator.workloads import workload

TOY, WORK = chip("toy"), workload("toy")
EXPERT, MATRIX = Granularity.EXPERT, Granularity.MATRIX


def run(kind=Kind.EXPERT_REORDER, on=TOY, **settings):
    return simulate(WORK, on, policy(on, kind, **settings), ("task0",))


@pytest.mark.parametrize(
    ("settings", "cycles", "buffer_bytes"),
    [
        ({"buffers": 2, "granularity": EXPERT}, 256, 1024),
        ({"buffers": 2, "granularity": MATRIX}, 232, 512),
        ({"buffers": 1, "granularity": EXPERT}, 384, 512),
        ({"buffers": 3, "granularity": EXPERT}, 256, 1536),
        ({"buffers": 2, "order": Order.SHORTEST_FIRST}, 272, 1024),
        ({"buffers": 2, "order": Order.LONGEST_FIRST}, 256, 1024),
        ({"buffers": 2, "order": Order.JOHNSON}, 256, 1024),
    ],
)
def test_expert_by_expert(settings, cycles, buffer_bytes):
    timeline = run(**settings)
    found = timeline.cycles, timeline.dram_bytes, timeline.buffer_peak_bytes
    assert found == (cycles, {Traffic.WEIGHTS: 1536}, buffer_bytes)


@pytest.mark.parametrize(
    ("cache", "cycles", "misses", "buffer_bytes"),
    [(1, 896, 11, 512), (2, 704, 8, 1024), (3, 384, 3, 1536), (4, 384, 3, 1536)],
)
def test_token_order_through_a_cache(cache, cycles, misses, buffer_bytes):
    timeline = run(Kind.TOKEN_LRU, cache=cache)
    found = timeline.cycles, timeline.loads_of("experts"), timeline.dram_bytes, timeline.buffer_peak_bytes
    assert found == (cycles, misses, {Traffic.WEIGHTS: misses * 512}, buffer_bytes)


def test_the_spans_are_those_done_by_hand():
    timeline = run(buffers=2, granularity=EXPERT)
    pairs = list(zip(timeline.program.jobs, timeline.spans, strict=True))
    assert [span for job, span in pairs if job.unit is Unit.LOADER] == [Span(0, 64), Span(64, 128), Span(144, 208)]
    assert [span for job, span in pairs if job.unit is Unit.LINEAR] == [Span(64, 144), Span(144, 208), Span(208, 256)]


def test_a_camera_that_takes_a_quarter_of_the_memory():
    assert run(on=replace(TOY, ddr=replace(TOY.ddr, background_bytes_per_cycle=2))).cycles == 306


def test_experts_that_stay_need_only_their_computation():
    timeline = run(Kind.RESIDENT)
    assert (timeline.cycles, timeline.dram_bytes) == (192, {})
    assert timeline.on_chip_peak_bytes >= 4 * 512


def test_prefetch_overlaps_only_where_the_cache_has_room_for_two():
    assert run(Kind.TOKEN_LRU, cache=1, misses=Misses.PREFETCH).cycles == run(Kind.TOKEN_LRU, cache=1).cycles
    assert run(Kind.TOKEN_LRU, cache=2, misses=Misses.PREFETCH).cycles < run(Kind.TOKEN_LRU, cache=2).cycles


def test_a_queue_of_four_tokens_hides_a_load():
    assert TOY.break_even_tokens == 4


def test_three_quarters_of_the_cycles_compute_and_one_waits_for_weights():
    timeline = run(buffers=2, granularity=EXPERT)
    assert (timeline.stalls.compute, timeline.stalls.weight, timeline.array_utilisation) == (192, 64, 0.75)


def test_switching_to_another_routing_costs_nothing_while_its_own_frame_takes_longer():
    """The gate that is exchanged is fetched in every frame anyway; what a switch changes is the queues."""
    other = Workload("two", TOY_SIZES, (*WORK.tasks, ("other", histogram(TOY_SIZES, (3, 3, 3, 3)))))
    costs = FrameCosts(other, TOY, policy(TOY, Kind.EXPERT_REORDER))
    assert costs.switch_overhead("task0", "other") == 0
    assert costs.cycles("task0", "other") == 64 * 4 + 3 * 16
