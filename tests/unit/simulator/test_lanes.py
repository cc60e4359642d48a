"""Lanes of a drawing: what the engine did, on units and on ports, and what is left when neighbours are merged."""

from __future__ import annotations

import pytest

from edge.simulator.chip import Chip, chip
from edge.simulator.lanes import held, lanes, moved
from edge.simulator.policies import Kind, policy
from edge.simulator.program import Unit
from edge.simulator.timeline import Timeline, simulate
from edge.simulator.workloads import workload


def a_round(work: str, on: Chip, kind: Kind = Kind.EXPERT_REORDER) -> Timeline:
    made = workload(work)
    return simulate(made, on, policy(on, kind), made.task_names)


TOY = a_round("toy", chip("toy"))
EDGE_MOE = a_round("edge-moe", chip("zcu102_edgemoe"))


def test_the_toy_has_the_spans_of_the_sheet():
    loader, array, port = lanes(TOY)
    assert [(block.start, block.end) for block in loader.blocks] == [(0, 64), (64, 128), (144, 208)]
    assert [(block.start, block.end) for block in array.blocks] == [(64, 144), (144, 208), (208, 256)]
    assert [(block.start, block.dram_bytes) for block in port.blocks] == [(0, 512), (64, 512), (144, 512)]


def test_every_job_is_a_block_on_its_unit():
    blocks = {lane.name: len(lane.blocks) for lane in lanes(EDGE_MOE)}
    assert sum(blocks.get(unit.value, 0) for unit in Unit) == len(EDGE_MOE.program.jobs)


@pytest.mark.parametrize("on", ["toy", "zcu104", "zcu102_edgemoe", "zcu102_ideal_axi"])
@pytest.mark.parametrize("kind", [Kind.EXPERT_REORDER, Kind.TASK_MODEL_SWAP])
def test_the_replay_moves_all_bytes_within_the_spans_of_their_jobs(on, kind):
    timeline = a_round("toy" if on == "toy" else "edge-moe", chip(on), kind)
    found = moved(timeline)
    assert sum(each.size for each in found) == sum(timeline.dram_bytes.values())
    assert all(
        timeline.spans[each.job].start <= each.start < each.end <= timeline.spans[each.job].end for each in found
    )
    last: dict[int, int] = {}
    for each in found:
        last[each.job] = max(last.get(each.job, 0), each.end)
    idle = [job for job in last if not timeline.program.jobs[job].compute]
    assert idle
    assert all(last[job] == timeline.spans[job].end for job in idle)  # nothing but its transfers can end it


@pytest.mark.parametrize("most", [10_000, 300, 40])
def test_merging_keeps_work_and_bytes(most):
    merged, whole = lanes(EDGE_MOE, most), lanes(EDGE_MOE)
    assert sum(len(lane.blocks) for lane in merged) <= most
    for few, many in zip(merged, whole, strict=True):
        assert sum(block.jobs for block in few.blocks) == len(many.blocks)
        assert sum(block.dram_bytes for block in few.blocks) == sum(block.dram_bytes for block in many.blocks)
        assert sum(block.busy for block in few.blocks) == pytest.approx(sum(block.busy for block in many.blocks))
        assert few.blocks[-1].end == many.blocks[-1].end


def test_busy_cycles_are_the_utilisation_of_the_timeline():
    for lane in lanes(EDGE_MOE):
        busy = sum(block.busy for block in lane.blocks)
        assert busy / EDGE_MOE.cycles == pytest.approx(EDGE_MOE.utilisation[lane.name])


def test_what_is_held_peaks_at_the_peak_and_ends_with_what_stays():
    levels = held(EDGE_MOE)
    assert max(level for _, level in levels) == EDGE_MOE.on_chip_peak_bytes
    assert (levels[0], levels[-1][1]) == ((0, levels[0][1]), EDGE_MOE.program.fixed_bytes)
    few = held(EDGE_MOE, 20)
    assert len(few) <= 21
    assert max(level for _, level in few) == EDGE_MOE.on_chip_peak_bytes
    assert few[-1] == levels[-1]
