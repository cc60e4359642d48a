"""Exploration: every point is the engine's, the front is a front, what does not fit says why, the sheet's table comes out."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest

from edge.errors import UsageError
from edge.simulator import pareto
from edge.simulator.chip import chip
from edge.simulator.chip_parts import DenseLoads, Granularity, Master
from edge.simulator.design import Design, Space, dsps_per_product, space
from edge.simulator.explore import Evaluator, Infeasible, Obstacle, Point, explore
from edge.simulator.policies import Kind, Misses, Order, Policy, policy
from edge.simulator.timeline import simulate
from edge.simulator.workload import Network, Workload, zipf
from edge.simulator.workloads import workload

BOARD = chip("zcu102_edgemoe")
TOY = workload("toy")


def space_of(on, work, kind=Kind.EXPERT_REORDER, **settings):
    return space(work.network, on, policy(on, kind, **settings))


def only(whole: Space, **axes) -> Space:
    """The base alone, but for these axes."""
    alone = {name: values[:1] for name, values in whole.axes.items()}
    return Space(**{**alone, **axes})


def is_the_engines(point: Point, work, base, task) -> bool:
    on = point.design.on(base)
    timeline = simulate(work, on, point.design.policy, (task,))
    traffic = sum(timeline.dram_bytes.values())
    return point.objectives == (timeline.cycles, timeline.program.allocated_bytes, on.dsp, traffic)


def random_chip(draw: random.Random):
    on = chip(draw.choice(("zcu104", "zcu102_edgemoe", "zcu102_ideal_axi")))
    return replace(
        on,
        ddr=replace(
            on.ddr,
            efficiency=draw.choice((1, 0.91, 0.6)),
            background_bytes_per_cycle=draw.choice((0, 7, 20)),
        ),
        memory=replace(on.memory, uram_bytes=2**23),
        control=replace(on.control, dense_loads=draw.choice([*DenseLoads])),
    )


def random_policy(draw: random.Random) -> Policy:
    return Policy(
        kind=draw.choice([*Kind]),
        buffers=draw.randint(1, 4),
        granularity=draw.choice([*Granularity]),
        order=draw.choice([*Order]),
        cache=draw.randint(1, 8),
        misses=draw.choice([*Misses]),
    )


@pytest.mark.parametrize("seed", range(10))
def test_points_drawn_at_random_are_the_engines(seed):
    """Ten chips, contended or not, with 24 designs each: 240 points of every policy in one evaluator per chip."""
    draw = random.Random(seed)
    base = random_chip(draw)
    network = Network(
        tokens=draw.choice((17, 33)), dim=192, heads=3, hidden=768, experts=8, top_k=2, expert_hidden=384,
        moe=draw.choice(((False, True) * 3, (False, True, True), (True,))),
    )  # fmt: skip
    work = Workload("random", network, (("a", zipf(network, exponent=1, seed=seed)),))
    axes = space_of(base, work).axes | {"policy": tuple(random_policy(draw) for _ in range(8))}
    evaluator = Evaluator(work, base, "a")
    found = []
    while len(found) < 24:
        design = Design(*(draw.choice(values) for values in axes.values()))
        outcome = evaluator.evaluate(design)
        if isinstance(outcome, Point):
            found.append(outcome)
            assert is_the_engines(outcome, work, base, "a"), design


@pytest.mark.parametrize(
    ("board", "expected"),
    [("zcu102_edgemoe", {4: 32.3, 8: 24.3, 16: 20.4}), ("zcu102_ideal_axi", {4: 19.9, 8: 15.9, 16: 13.9})],
)
def test_more_queries_at_once_take_what_the_sheet_says(board, expected):
    """moe_fpga sheet 5, row 1: ports of 16 bytes per cycle, then of 32."""
    base, work = chip(board), workload("edge-moe-uniform")
    whole = space_of(base, work)
    found = explore(work, base, only(whole, queries=whole.queries), "task0")
    times = {point.design.queries: base.milliseconds(point.cycles) for point in found.points}
    assert {queries: round(times[queries], 1) for queries in expected} == expected


def test_doubling_the_queries_of_the_board_saves_more_than_doubling_its_macs():
    work = workload("edge-moe-uniform")
    whole = space_of(BOARD, work)
    arrays, queries = ((16, 16), (32, 16)), (4, 8)
    found = explore(work, BOARD, only(whole, array=arrays, queries=queries), "task0")
    assert found.fix_first[0].axis == "queries"
    saved = {change.axis: change.saved_cycles for change in found.fix_first}
    by_hand = {
        axis: found.base_point.cycles - next(p.cycles for p in found.points if p.design == design)
        for axis, design in found.space.single_changes()
    }
    assert saved == by_hand
    assert [change.added_dsp for change in found.fix_first] == [256, 512]


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_what_comparing_all_pairs_leaves(seed):
    rows = np.random.default_rng(seed).integers(0, 6, size=(60, 4)).tolist()

    def beaten(row, index):
        return any(
            all(a <= b for a, b in zip(other, row, strict=True)) and (other != row or earlier < index)
            for earlier, other in enumerate(rows)
            if earlier != index
        )

    front = pareto.front(rows)
    assert {*front} == {index for index, row in enumerate(rows) if not beaten(row, index)}
    assert [rows[index] for index in front] == sorted(rows[index] for index in front)


def test_nothing_has_an_empty_front():
    assert pareto.front([]) == ()


def test_every_design_is_counted_and_those_that_do_not_fit_say_why():
    base = chip("toy")
    found = explore(TOY, base, space_of(base, TOY), "task0")
    everything = [design for block in found.space.blocks() for design in block]
    assert len(found.points) + len(found.infeasible) == len(everything)
    assert found.obstacles[Obstacle.CHIP] > 0
    assert sum(found.obstacles.values()) == len(found.infeasible)
    for each in random.Random(0).sample(found.infeasible, 50):
        with pytest.raises(UsageError) as refused:
            simulate(TOY, each.design.on(base), each.design.policy, ("task0",))
        assert str(refused.value) == each.message


def test_obstacles_are_told_apart():
    network = workload("edge-moe").network
    work = workload("edge-moe")
    evaluator = Evaluator(work, BOARD, "task0")
    base = space(network, BOARD, policy(BOARD, Kind.EXPERT_REORDER)).base
    wrong = {
        Obstacle.CHIP: replace(base, queries=64),
        Obstacle.BUFFER: replace(base, buffer_bytes=1000),
        Obstacle.MEMORY: replace(base, policy=replace(base.policy, kind=Kind.RESIDENT)),
    }
    for obstacle, design in wrong.items():
        outcome = evaluator.evaluate(design)
        assert isinstance(outcome, Infeasible)
        assert outcome.obstacle is obstacle


def test_two_processes_find_what_one_finds():
    base = chip("toy")
    axes = only(space_of(base, TOY), array=((4, 4), (2, 4)), ports=(1, 0.5), policy=space_of(base, TOY).policy)
    one, two = (explore(TOY, base, axes, "task0", processes) for processes in (1, 2))
    assert (one.points, one.infeasible) == (two.points, two.infeasible)


def test_a_memory_with_masters_is_left_to_the_engine():
    base = chip("toy")
    camera = Master(name="camera", bytes=64, period_us=1, bytes_per_cycle=4)
    busy = replace(base, ddr=replace(base.ddr, master=(camera,)))
    found = explore(TOY, busy, only(space_of(busy, TOY), ports=(1, 0.5)), "task0")
    assert len(found.points) == 2
    assert all(is_the_engines(point, TOY, busy, "task0") for point in found.points)
    assert found.base_point.cycles > explore(TOY, base, only(space_of(base, TOY)), "task0").base_point.cycles


@pytest.mark.parametrize(
    ("bits", "dsps"), [((16, 32), 2), ((32, 32), 4), ((16, 16), 1), ((8, 16), 1), ((8, 8), 0.5), ((8, 32), 2)]
)
def test_dsps_of_a_product(bits, dsps):
    assert dsps_per_product(*bits) == dsps_per_product(*reversed(bits)) == dsps


def test_the_base_is_the_chip_as_it_is():
    for name in ("toy", "zcu104", "zcu102_edgemoe"):
        base = chip(name)
        design = space_of(base, workload("edge-moe")).base
        assert design.on(base) == base


def test_single_changes_change_one_thing():
    whole = space_of(BOARD, workload("edge-moe"))
    for axis, design in whole.single_changes():
        other = [name for name in whole.axes if getattr(design, name) != getattr(whole.base, name)]
        assert other == [axis]
    values = [len({*axis}) for axis in whole.axes.values()]
    assert values == [len(axis) for axis in whole.axes.values()]
    assert sum(1 for block in whole.blocks() for _ in block) == np.prod(values)


def test_fields_have_what_a_reader_of_json_needs():
    base = chip("toy")
    found = explore(TOY, base, space_of(base, TOY), "task0")
    fields = found.fields()
    assert fields["explored"] == fields["feasible"] + sum(fields["infeasible"].values())
    assert fields["base"]["cycles"] == 256
    assert fields["base"]["is_base"]
    assert [point["cycles"] for point in fields["front"]] == sorted(point["cycles"] for point in fields["front"])
    assert all(change["saved_cycles"] > 0 for change in fields["fix_first"])
    assert fields["front_at_base_precision"]
    for one, other in itertools.permutations(found.front, 2):
        assert any(a < b for a, b in zip(one.objectives, other.objectives, strict=True))


def test_a_base_that_does_not_fit_is_refused():
    work = workload("edge-moe")
    with pytest.raises(UsageError, match="does not fit"):
        explore(work, BOARD, space_of(BOARD, work, Kind.RESIDENT), "task0")
    with pytest.raises(UsageError, match="task"):
        explore(work, BOARD, space_of(BOARD, work), "task9")
