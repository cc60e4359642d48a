"""Uniform scaling tries every network of its kind once."""

from __future__ import annotations

from fractions import Fraction

import pytest

from edge import plugins
from edge.search.budget import Budget
from edge.search.strategies.uniform import Uniform
from edge.search.uniform_networks import uniform_networks
from tests.fakes.toy_lab import ToyLab


@pytest.mark.parametrize("size", [(32, 32), (224, 224)])
@pytest.mark.parametrize("name", plugins.names("edge.spaces"))
def test_every_network_of_uniform_scaling_is_found_where_one_value_gives_way_to_the_next(
    name: str, size: tuple[int, int]
) -> None:
    space = plugins.space(name, size, 10)
    turns = sorted({Fraction(2 * step + 1, 2 * (length - 1)) for length in range(2, 19) for step in range(length - 1)})
    middles = [(a + b) / 2 for a, b in zip([Fraction(0), *turns], [*turns, Fraction(1)], strict=True)]
    assert {space.uniform(float(share)) for share in middles} == {*uniform_networks(space)}


def test_it_tries_each_once_from_the_smallest_whatever_the_budget() -> None:
    space = plugins.space("efficientvit", (32, 32), 10)
    lab = ToyLab(space, [Budget("", 1.0)], ms=lambda spec: 5.0, confidence=lambda spec: 0.5)
    assert Uniform().search(lab) == ()
    assert lab.batches == [uniform_networks(space)]
    assert len({*lab.batches[0]}) == len(lab.batches[0]) >= 5
    assert (lab.batches[0][0], lab.batches[0][-1]) == (space.uniform(0), space.uniform(1))
