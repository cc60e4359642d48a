"""A device that slows down between two moments leaves no trace in a table: whole networks say by how much it did."""

from __future__ import annotations

from random import Random

import pytest

from edge.latency import build as builder
from edge.latency.build import build, drawn
from edge.latency.pace import timed
from edge.latency.table import LatencyTable
from tests.fakes.toy_space import ExactBench, tag, toy_space


class Slowing(ExactBench):
    """Takes longer from one timing to the next, each file as much as every other."""

    def time(self, contents, seed=0):
        self.pace = 1.0 + 0.1 * len(self.timed)
        return super().time(contents, seed)

    def ms(self, content):
        return self.pace * super().ms(content)


class SlowForLarge(ExactBench):
    """Beside other work: the longer a network takes, the more time it loses, in proportion to a power of it."""

    busy = False

    def ms(self, content):
        quiet = super().ms(content)
        return quiet**1.2 if self.busy else quiet


def silent(stage: str) -> None:
    pass


def table_of(bench, path):
    found = LatencyTable.create(path, tag(bench.space))
    build(bench, found, bench.space.every_block(), silent)
    return found


@pytest.mark.parametrize("at_once", [1, 16])
def test_a_device_that_slows_down_gives_the_table_of_one_that_does_not(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(builder, "BLOCKS_AT_ONCE", at_once)
    steady, slowing = (
        table_of(bench(toy_space()), tmp_path / f"{bench.__name__}.sqlite") for bench in (ExactBench, Slowing)
    )
    times = {key: block.ms for key, block in steady.blocks().items()}
    assert {key: block.ms for key, block in slowing.blocks().items()} == pytest.approx(times)
    assert slowing.intercept_ms == pytest.approx(steady.intercept_ms)


def test_networks_that_a_kill_left_out_are_timed_on_the_scale_of_those_that_are_there(tmp_path):
    bench = Slowing(toy_space())
    found = LatencyTable.create(tmp_path / "table.sqlite", tag(bench.space))
    first, *_ = networks = [*dict.fromkeys(drawn(bench.space, builder.INTERCEPT_NETWORKS))]
    found.put_network(first, bench.space.blocks(first), bench.time([first])[first].network())
    build(bench, found, (), silent)
    quiet = ExactBench(bench.space)
    assert {spec: network.ms for spec, network in found.networks().items()} == pytest.approx(
        {spec: quiet.ms(spec) for spec in networks}
    )
    samples_by_ms = [max(row.samples_ms["network"][0]) / row.ms for row in found.networks().values()]
    assert max(samples_by_ms) > 1.05  # the samples are as they were


def test_what_slows_large_networks_more_than_small_ones_is_taken_out_of_each(tmp_path):
    bench = SlowForLarge(toy_space())
    found = table_of(bench, tmp_path / "table.sqlite")
    then = [network.ms for network in found.networks().values()]
    others = [spec for spec in map(bench.space.draw, map(Random, range(40))) if min(then) < bench.ms(spec) < max(then)]
    wanted = {spec: bench.ms(spec) for spec in others if spec not in found.networks()}
    bench.busy = True
    slowed = [bench.ms(spec) / ms for spec, ms in wanted.items()]
    assert max(slowed) > 1.05 * min(slowed)
    times = timed(bench, found, wanted)
    assert {spec: times.network(spec).ms for spec in wanted} == pytest.approx(wanted)


def test_a_time_without_a_table_is_as_it_is(tmp_path):
    bench = ExactBench(toy_space())
    empty = LatencyTable.create(tmp_path / "table.sqlite", tag(bench.space))
    spec = bench.space.largest()
    assert timed(bench, empty, [spec]).network(spec).ms == bench.ms(spec)
    assert bench.timed == [spec]
