"""Edge-MoE on a ZCU102: the moe_fpga sheet 3.3."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from edge.errors import UsageError
from edge.simulator.chip import chip
from edge.simulator.policies import Kind, policy
from edge.simulator.program import Traffic
from edge.simulator.simulation import FrameCosts
from edge.simulator.timeline import simulate
from edge.simulator.workload import Routing, Scope, Workload
from edge.simulator.workloads import EDGE_MOE, workload

BOARD = chip("zcu102_edgemoe")
PUBLISHED_MS = 34.5
"""What the ratios in the abstracts of later papers imply; no table of the paper itself could be read."""


def frame(on=BOARD, work="edge-moe-uniform", task="task0", kind=Kind.EXPERT_REORDER, **settings):
    return simulate(workload(work), on, policy(on, kind, **settings), (task,))


ROOMY = replace(BOARD, memory=replace(BOARD.memory, uram_bytes=8 * 2**20))
"""The board, but any cache fits."""


def without_calls():
    """The board as the sheet counts its MoE layers: calls and bursts cost nothing, and any cache fits."""
    linear = replace(ROOMY.array.linear, fill=0)
    return replace(ROOMY, array=replace(ROOMY.array, linear=linear), ddr=replace(ROOMY.ddr, burst_latency_ns=0))


def moe_layer(task, kind=Kind.EXPERT_REORDER, **settings):
    network = replace(EDGE_MOE, moe=(True,), scope=Scope.EXPERTS)
    work = Workload("layer", network, ((task, Routing("recorded", workload("edge-moe").routing(task).layers[:1])),))
    on = without_calls()
    return simulate(work, on, policy(on, kind, **settings), (task,))


@pytest.mark.parametrize(
    ("operation", "cycles"),
    [
        ("patch embedding", 79_872),
        ("linear", 894_720),
        ("linear weights", 224_256),
        ("attention scores", 2_452_800),
        ("attention values", 2_452_800),
        ("layer norm", 346_752),
        ("residual add", 150_144),
        ("mlp", 892_416),
        ("mlp weights", 221_952),
        ("gate", 152_088),
    ],
)
def test_cycles_of_each_operation_of_a_frame_are_exact(operation, cycles):
    assert {row.name: row.cycles for row in frame().operations}[operation] == cycles


def test_the_experts_differ_from_the_sheet_only_by_its_fractional_queues():
    """The sheet takes 258 / 16 tokens for each queue; here the last queue has 16, so each layer ends 36 cycles earlier."""
    assert {row.name: row.cycles for row in frame().operations}["experts"] == 1_810_008 - 6 * 36


def test_a_frame_is_within_ten_percent_of_the_board_uncalibrated():
    assert frame().latency_ms == pytest.approx(32.26, abs=0.005)
    assert frame().latency_ms == pytest.approx(PUBLISHED_MS, rel=0.1)


@pytest.mark.parametrize(("efficiency", "ms"), [(0.95, 33.6), (0.91, 34.7), (0.90, 35.0), (0.85, 36.7)])
def test_the_one_parameter_moves_the_frame_as_the_sheet_says(efficiency, ms):
    slower = replace(BOARD, ddr=replace(BOARD.ddr, efficiency=efficiency))
    assert frame(slower).latency_ms == pytest.approx(ms, abs=0.06)


def test_some_efficiency_from_085_to_095_comes_within_three_percent():
    found = [
        frame(replace(BOARD, ddr=replace(BOARD.ddr, efficiency=efficiency))).latency_ms
        for efficiency in (0.85, 0.88, 0.90, 0.92, 0.95)
    ]
    assert min(abs(ms / PUBLISHED_MS - 1) for ms in found) < 0.03


def test_ports_as_wide_as_the_kernels_assume():
    assert frame(chip("zcu102_ideal_axi")).latency_ms == pytest.approx(19.86, abs=0.005)


QUEUES = {
    "task0": (0, 6, 0, 32, 0, 27, 15, 24, 22, 19, 0, 22, 11, 33, 32, 15),
    "task1": (0, 17, 0, 41, 1, 22, 16, 25, 2, 19, 0, 23, 16, 1, 51, 24),
}


@pytest.mark.parametrize("task", QUEUES)
def test_the_recorded_routing_has_the_queues_of_the_sheet_in_every_layer(task):
    routing = workload("edge-moe").routing(task)
    assert "recorded" in routing.origin
    assert [routing.queues(layer, 16) for layer in range(6)] == [QUEUES[task]] * 6


@pytest.mark.parametrize(("task", "ms"), [("task0", 30.78), ("task1", 31.52)])
def test_frames_with_the_recorded_queues(task, ms):
    assert frame(work="edge-moe", task=task).latency_ms == pytest.approx(ms, abs=0.005)


@pytest.mark.parametrize(("task", "reorder", "load_bound"), [("task0", 226_080, 221_184), ("task1", 262_656, 239_616)])
def test_a_moe_layer_in_matrix_ping_pong_is_exact(task, reorder, load_bound):
    timeline = moe_layer(task)
    loads = sum(row.load_cycles for row in timeline.operations)
    assert (timeline.cycles, timeline.stalls.compute, loads) == (reorder, 148_608, load_bound)


@dataclass(frozen=True)
class Row:
    """A row of the sheet: an LRU cache of `cache` experts; `frame_ms` and `speed_up` are printed digits."""

    task: str
    cache: int
    misses: int
    cycles: int
    frame_ms: float
    speed_up: float


TOKEN_ORDER = (
    Row("task0", 1, 250, 4_756_608, 121.4, 3.94),
    Row("task0", 2, 173, 3_337_344, 93.0, 3.02),
    Row("task0", 4, 123, 2_415_744, 74.5, 2.42),
    Row("task0", 8, 33, 756_864, 41.4, 1.34),
    Row("task0", 16, 12, 369_792, 33.6, 1.09),
    Row("task1", 1, 241, 4_590_720, 118.1, 3.75),
    Row("task1", 2, 177, 3_411_072, 94.5, 3.00),
    Row("task1", 4, 107, 2_120_832, 68.6, 2.18),
    Row("task1", 8, 29, 683_136, 39.9, 1.27),
    Row("task1", 16, 13, 388_224, 34.0, 1.08),
)
every_row = pytest.mark.parametrize("row", TOKEN_ORDER, ids=lambda row: f"{row.task}-c{row.cache}")


@every_row
def test_misses_and_cycles_of_a_layer_in_token_order_are_exact(row):
    timeline = moe_layer(row.task, Kind.TOKEN_LRU, cache=row.cache)
    assert (timeline.loads_of("experts"), timeline.cycles) == (row.misses, row.cycles)


@every_row
def test_whole_frames_in_token_order_have_the_printed_digits(row):
    """The sheet adds six layers without calls to the rest of the frame with them."""
    reordered = frame(work="edge-moe", task=row.task)
    experts = next(operation.cycles for operation in reordered.operations if operation.name == "experts")
    layer = moe_layer(row.task, Kind.TOKEN_LRU, cache=row.cache).cycles
    frame_ms = BOARD.milliseconds(reordered.cycles - experts + 6 * layer)
    assert round(frame_ms, 1) == row.frame_ms
    assert round(frame_ms / reordered.latency_ms, 2) == row.speed_up


@every_row
def test_the_calls_that_the_sheet_leaves_out_cost_64_cycles_for_each_miss_and_matrix(row):
    whole = frame(ROOMY, work="edge-moe", task=row.task, kind=Kind.TOKEN_LRU, cache=row.cache)
    experts = next(operation.cycles for operation in whole.operations if operation.name == "experts")
    assert experts == 6 * (row.cycles + 64 * row.misses + 2 * 64)


def test_that_cache_does_not_fit_on_the_real_board():
    with pytest.raises(UsageError, match="more than the 4,202,496 there are") as refused:
        frame(kind=Kind.TOKEN_LRU, cache=16)
    assert "token-lru with a cache of 12 experts would fit" in refused.value.hint


def test_reordering_gains_more_the_smaller_the_cache():
    reorder = moe_layer("task0").cycles
    ratios = [moe_layer("task0", Kind.TOKEN_LRU, cache=cache).cycles / reorder for cache in (1, 2, 4, 8, 16)]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[-1] > 1


@pytest.mark.parametrize(
    ("traffic", "megabytes"),
    [
        (Traffic.KEYS, 39.2), (Traffic.VALUES, 39.2), (Traffic.ATTENTION_MAP, 6.5), (Traffic.LINEAR, 9.5),
        (Traffic.MLP, 5.9), (Traffic.EXPERTS, 8.3), (Traffic.NORM, 4.8), (Traffic.RESIDUAL, 7.1),
        (Traffic.QUERY_OUTPUT, 2.4), (Traffic.WEIGHTS, 35.4),
    ],
)  # fmt: skip
def test_dram_bytes_by_class(traffic, megabytes):
    assert frame().dram_bytes[traffic] / 1e6 == pytest.approx(megabytes, abs=0.051)


def test_macs_of_a_frame():
    assert frame().macs / 1e6 == pytest.approx(782.7, abs=0.05)


def test_loads_hide_behind_32_tokens_on_the_board_and_16_on_wide_ports():
    assert (BOARD.break_even_tokens, chip("zcu102_ideal_axi").break_even_tokens) == (32, 16)


@pytest.mark.parametrize("board", ["zcu104", "zcu102_edgemoe"])
def test_a_task_switch_of_reordered_experts_costs_no_cycle(board):
    on = chip(board)
    work = workload("edge-moe")
    for before, task in (("task0", "task1"), ("task1", "task0")):
        assert FrameCosts(work, on, policy(on, Kind.EXPERT_REORDER)).switch_overhead(before, task) == 0


def test_swapping_a_dense_network_takes_about_two_milliseconds():
    on = chip("zcu104")
    cycles = FrameCosts(workload("edge-moe"), on, policy(on, Kind.TASK_MODEL_SWAP)).switch_overhead("task0", "task1")
    assert on.milliseconds(cycles) == pytest.approx(2.3, abs=0.05)
