"""The roofline: intensities, rates below the roofs, and the bound that the sheet's formulas give."""

from __future__ import annotations

import math

import pytest

from edge.simulator.chip import chip
from edge.simulator.policies import Kind, policy
from edge.simulator.roofline import owners, points, roofs
from edge.simulator.timeline import Timeline, simulate
from edge.simulator.workloads import workload


def frame(work: str, on: str, kind: Kind = Kind.EXPERT_REORDER) -> Timeline:
    made = workload(work)
    return simulate(made, chip(on), policy(chip(on), kind), made.task_names[:1])


EDGE_MOE = {point.name: point for point in points(frame("edge-moe", "zcu102_edgemoe"))}


def test_the_toy_is_bound_by_either_of_compute_and_its_port():
    [experts] = points(frame("toy", "toy"))
    assert (experts.macs, experts.dram_bytes, experts.cycles) == (3072, 1536, 256)
    assert (experts.intensity, experts.rate) == (2, 12)
    assert experts.bounds == {"compute": 192, "latency": 0, "port port": 192, "DDR": 192}
    assert (experts.bound, experts.explained) == ("compute", 0.75)


@pytest.mark.parametrize(
    ("name", "bound"),
    [
        ("attention scores", "port inout2"),  # sheet 3.3: 102,168 cycles of MACs against 204,336 of the port
        ("attention values", "port inout2"),
        ("experts", "port weights"),  # "MoE layers are load-bound"
        ("linear", "compute"),
        ("mlp", "compute"),
        ("layer norm", "latency"),  # 64 cycles per token against 48 of streaming
    ],
)
def test_edge_moe_is_bound_where_the_sheet_says(name, bound):
    assert EDGE_MOE[name].bound == bound


def test_attention_needs_half_of_the_cycles_to_compute_that_its_port_needs():
    bounds = EDGE_MOE["attention scores"].bounds
    assert (bounds["compute"], bounds["port inout2"]) == (12 * 102_168, 12 * 204_336)


def test_loads_of_weights_count_with_the_operation_that_waits_for_them():
    timeline = frame("edge-moe", "zcu102_edgemoe")
    owner = owners(timeline.program)
    assert (owner["linear weights"], owner["mlp weights"], owner["experts"]) == ("linear", "mlp", "experts")
    assert EDGE_MOE["linear"].cycles == 894_720 + 224_256


def test_a_model_swap_counts_with_what_waits_for_the_model():
    made, on = workload("edge-moe"), chip("zcu102_edgemoe")
    timeline = simulate(made, on, policy(on, Kind.TASK_MODEL_SWAP), ("task0", "task1"))
    assert sum(point.cycles for point in points(timeline)) == timeline.cycles


@pytest.mark.parametrize("kind", [Kind.EXPERT_REORDER, Kind.TOKEN_LRU, Kind.TASK_MODEL_SWAP])
@pytest.mark.parametrize("on", ["zcu102_edgemoe", "zcu102_ideal_axi", "zcu104"])
def test_points_sum_to_the_frame_and_lie_below_the_roof_of_compute(kind, on):
    timeline = frame("edge-moe", on, kind)
    found = points(timeline)
    assert sum(point.cycles for point in found) == timeline.cycles
    assert sum(point.macs for point in found) == timeline.macs
    assert sum(point.dram_bytes for point in found) == sum(timeline.dram_bytes.values())
    assert all(
        point.macs <= point.bounds["compute"] * max(roofs(chip(on)).compute.values()) or not point.bounds["compute"]
        for point in found
    )
    assert all(point.cycles >= point.bounds["compute"] for point in found)


def test_the_roofs_are_the_arrays_the_ports_and_the_channel():
    found = roofs(chip("zcu102_edgemoe"))
    assert found.compute == {"linear array": 256, "attention array": 32}
    assert found.bandwidth["each port"] == 16
    assert math.isclose(found.bandwidth["DDR"], 17.06e9 / 299.97e6, rel_tol=1e-4)


def test_an_operation_without_macs_has_no_place():
    assert EDGE_MOE["residual add"].intensity is None
