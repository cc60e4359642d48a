"""How transfers share ports and ports share the memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.simulator.chip import chip
from edge.simulator.chip_parts import Port, Role
from edge.simulator.engine import Span, run
from edge.simulator.memory import max_min
from edge.simulator.program import Job, Program, Traffic, Transfer, Unit


@pytest.mark.parametrize(
    ("caps", "total", "shares"),
    [
        ({0: 4, 1: 4}, 100, {0: 4, 1: 4}),
        ({0: 4, 1: 4}, 6, {0: 3, 1: 3}),
        ({0: 1, 1: 9}, 6, {0: 1, 1: 5}),
        ({0: 9, 1: 2, 2: 9}, 12, {0: 5, 1: 2, 2: 5}),
        ({0: 5, 1: 5, 2: 5}, 10, {0: 3, 1: 3, 2: 4}),
    ],
)
def test_who_wants_less_gets_all_and_the_rest_is_shared_equally(caps, total, shares):
    assert max_min(caps, total) == shares


def two_transfers(on, role, sizes=(80, 40)):
    jobs = tuple(
        Job(unit.value, "x", unit, 0, (), transfers=(Transfer(each, size, Traffic.WEIGHTS),))
        for unit, each, size in zip((Unit.LOADER, Unit.STREAM), (Role.WEIGHTS, role), sizes, strict=True)
    )
    return run(Program(jobs, (), 0, 0), on)


def test_two_transfers_on_one_port_each_get_half_until_one_ends():
    assert two_transfers(chip("toy"), Role.INPUT) == (Span(0, 15), Span(0, 10))  # 8 B/cycle: 40 + 40, then 40 alone


def with_two_ports(ddr):
    toy = chip("toy")
    rest = tuple(role for role in Role if role is not Role.WEIGHTS)
    ports = (Port("weights", 8, (Role.WEIGHTS,)), Port("rest", 2, rest))
    return replace(toy, port=ports, ddr=replace(toy.ddr, gbytes_s=ddr / 10))


def test_ports_of_their_own_do_not_slow_each_other_while_the_memory_has_enough():
    assert two_transfers(with_two_ports(10), Role.INPUT) == (Span(0, 10), Span(0, 20))


def test_a_scarce_memory_slows_the_port_that_wants_more():
    assert two_transfers(with_two_ports(6), Role.INPUT) == (Span(0, 20), Span(0, 20))
