"""Camera and display on the accelerator's memory: bursts by hand, bounds on random designs, and how they are served."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.simulator.chip import chip, parse
from edge.simulator.chip_parts import Activations, Master
from edge.simulator.engine import Span
from edge.simulator.masters import Service, from_file, service
from edge.simulator.policies import Kind, policy
from edge.simulator.program import Unit
from edge.simulator.timeline import simulate
from edge.simulator.workload import Scope
from edge.simulator.workloads import workload
from tests.fakes.random_designs import triples
from tests.unit.simulator.test_properties import (
    accounts_for_every_cycle,
    keeps_within_its_memory,
    starts_each_job_as_soon_as_it_may,
)

TOY, WORK = chip("toy"), workload("toy")
CAMERA = Master("camera", bytes=32, period_us=0.16, bytes_per_cycle=8)
"""4 of every 16 cycles of the toy's memory."""


def with_masters(on, *masters):
    return replace(on, ddr=replace(on.ddr, master=masters))


def frame(on, work=WORK, kind=Kind.EXPERT_REORDER):
    return simulate(work, on, policy(on, kind), (work.task_names[0],))


def test_a_camera_that_takes_the_first_four_of_sixteen_cycles():
    """A load moves 96 bytes in each of five periods and its last 32 in cycles 84 to 88.

    The second gets 64 bytes until 96, 96 in each of four periods, and 64 from 164 to 172. The third waits for the
    buffer of expert 0 (168) and the loader: 32 bytes until 176 and five whole periods until 256.
    """
    timeline = frame(with_masters(TOY, CAMERA))
    pairs = list(zip(timeline.program.jobs, timeline.spans, strict=True))
    assert [span for job, span in pairs if job.unit is Unit.LOADER] == [Span(0, 88), Span(88, 172), Span(172, 256)]
    assert timeline.cycles == 304


def test_bursts_are_not_a_constant_of_the_same_mean():
    """2 bytes a cycle all the time take 306 cycles, and the bursts of as many bytes 304."""
    steady = replace(TOY, ddr=replace(TOY.ddr, background_bytes_per_cycle=2))
    assert (frame(steady).cycles, frame(with_masters(TOY, CAMERA)).cycles) == (306, 304)


def test_a_camera_is_served_in_every_period_whatever_the_accelerator_does():
    assert service(with_masters(TOY, CAMERA), 256) == (Service("camera", bursts=17, late=0, worst_cycles=4),)


def test_the_earlier_master_comes_first():
    first, second = (replace(CAMERA, name=name) for name in ("first", "second"))
    served = service(with_masters(TOY, first, second), 160)
    assert [master.worst_cycles for master in served] == [4, 8]


def test_masters_that_collide_are_late_though_the_memory_has_enough_on_average():
    """The display wants 2 bytes every 4 cycles, and waits 6 cycles for the camera's 48 bytes in every 24."""
    camera = Master("camera", bytes=48, period_us=0.24, bytes_per_cycle=8)
    display = Master("display", bytes=2, period_us=0.04, bytes_per_cycle=8)
    first, second = service(with_masters(TOY, camera, display), 240)
    assert (first.late, second.late) == (0, 10)
    assert service(with_masters(TOY, display, camera), 240)[0].late == 0


def test_no_masters_change_nothing():
    assert frame(with_masters(TOY)).spans == frame(TOY).spans
    assert service(TOY, 100) == ()


def test_a_master_with_nothing_to_share_stops_the_ports_while_it_moves():
    """A burst of the whole memory: 64 bytes of every 16 cycles leave 8 of them."""
    half = replace(CAMERA, bytes=64)
    assert frame(with_masters(TOY, half), kind=Kind.TOKEN_LRU).cycles > 11 * 128  # each of 11 loads takes twice 64


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(triples(), st.lists(st.tuples(st.integers(1, 40), st.integers(20, 60), st.integers(2, 9)), max_size=3))
def test_accounts_memory_order_and_determinism_hold_with_masters(drawn, wanted):
    work, on, way = drawn
    masters = tuple(Master(f"{number}", size, period / 100, rate) for number, (size, period, rate) in enumerate(wanted))
    demand = sum(size / period for size, period, _ in wanted)
    assume(all(size <= rate * period for size, period, rate in wanted) and on.ddr_millibytes / 1000 - demand >= 1)
    busy = with_masters(on, *masters)
    found, again = (simulate(work, busy, way, ("a", "b")) for _ in range(2))
    accounts_for_every_cycle(found)
    keeps_within_its_memory(found)
    starts_each_job_as_soon_as_it_may(found)
    assert found.spans == again.spans
    assert found.dram_bytes == simulate(work, on, way, ("a", "b")).dram_bytes


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(triples(scopes=(Scope.EXPERTS,)), st.integers(1, 20), st.integers(20, 60))
def test_bursts_cost_at_least_nothing_and_at_most_a_constant_of_their_peak(drawn, size, period):
    """Only weights move, one load at a time, so that less memory can slow only what waits for it."""
    work, on, way = drawn
    on = replace(on, memory=replace(on.memory, activations=Activations.ON_CHIP), ddr=replace(on.ddr, gbytes_s=0.6))
    on = replace(on, ddr=replace(on.ddr, efficiency=1))  # 6 bytes a cycle
    masters = with_masters(on, Master("camera", size, period / 100, 2))
    steady = replace(on, ddr=replace(on.ddr, background_bytes_per_cycle=2))
    free, bursts, always = (simulate(work, each, way, ("a",)).cycles for each in (on, masters, steady))
    assert free <= bursts <= always


FILE = b"""
[[master]]
name = "display"
bytes = 7680
period_us = 14.8
bytes_per_cycle = 16
"""


def test_masters_are_read_from_a_file_or_from_the_chip(tmp_path):
    (tmp_path / "masters.toml").write_bytes(FILE)
    display = Master("display", 7680, 14.8, 16)
    assert from_file(tmp_path / "masters.toml") == (display,)
    board = (chip_text() + FILE.decode().replace("[[master]]", "[[ddr.master]]")).encode()
    assert parse(board, "board").ddr.master == (display,)


def chip_text():
    from importlib.resources import files

    return (files("devices") / "chips" / "zcu102_edgemoe.toml").read_text()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("period_us = 14.8", "period_us = 0", "period_us is 0, which is impossible"),
        ("period_us = 14.8", "period_ms = 14.8", "unknown key 'period_ms'"),
        ("bytes = 7680", "bytes = 0", "bytes is 0"),
        ("bytes_per_cycle = 16", "bytes_per_cycle = 0", "bytes_per_cycle is 0"),
        ("bytes_per_cycle = 16", "", "'bytes_per_cycle' is missing"),
        ("[[master]]", "[[camera]]", "unknown key 'camera'"),
        ("[[master]]", "[[master", "is not TOML"),
    ],
)
def test_a_file_with_a_mistake_is_refused(tmp_path, before, after, said):
    (tmp_path / "masters.toml").write_bytes(FILE.decode().replace(before, after).encode())
    with pytest.raises(UsageError, match=said):
        from_file(tmp_path / "masters.toml")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no"):
        from_file(tmp_path / "masters.toml")


@pytest.mark.parametrize(
    ("masters", "said"),
    [
        ((replace(CAMERA, period_us=0),), "period_us is 0"),
        ((replace(CAMERA, period_us=0.001),), "cannot move 32 bytes in 0 cycles"),
        ((replace(CAMERA, bytes=129),), "cannot move 129 bytes in 16 cycles"),
        ((replace(CAMERA, bytes=120),), "leave 0.50 bytes per cycle"),
        ((CAMERA, CAMERA), "two masters have the same name"),
    ],
)
def test_masters_that_cannot_be_are_refused(masters, said):
    with pytest.raises(UsageError, match=said):
        with_masters(TOY, *masters)
