"""Blocks are learned from files: exactly where times add up, once each, and never again after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from edge.latency import build as builder
from edge.latency.build import build, drawn
from edge.latency.pieces import CHAIN, probe, terms
from edge.latency.table import LatencyTable
from edge.space import Block
from tests.fakes.toy_space import ExactBench, tag, toy_space


def silent(stage: str) -> None:
    pass


@pytest.fixture
def bench():
    return ExactBench(toy_space())


@pytest.fixture
def table(bench, tmp_path):
    found = LatencyTable.create(tmp_path / "table.sqlite", tag(bench.space))
    build(bench, found, bench.space.every_block(), silent)
    return found


def test_networks_of_an_additive_device_are_predicted_exactly_though_borders_are_unequal(bench, table):
    for spec in [bench.space.draw(Random(seed)) for seed in range(30)]:
        assert table.predict_ms(bench.space.blocks(spec)) == pytest.approx(bench.ms(spec), rel=1e-9)


def test_a_block_that_keeps_its_shape_has_its_own_time_alone(bench, table):
    keeping = [block for block in bench.space.every_block() if block.input == block.output]
    slopes = {block: (bench.ms((block,) * CHAIN) - bench.ms((block,))) / (CHAIN - 1) for block in keeping}
    assert len(slopes) == 6
    assert {block: table.predict_ms((block,)) - table.intercept_ms for block in keeping} == pytest.approx(slopes)


def test_a_block_that_changes_the_shape_stands_between_two_neighbours():
    space = toy_space()
    down = next(block for block in space.every_block() if block.kind == "down")
    assert next(iter(terms(down, space))) == (probe(down.input), down, probe(down.output))


def test_the_first_block_has_the_picture_before_it_and_the_last_nothing_behind_it():
    space = toy_space()
    first, *_, last = space.blocks(space.smallest())
    assert next(iter(terms(first, space))) == (first, probe(first.output))
    assert next(iter(terms(last, space))) == (probe(last.input), last)


def test_building_again_measures_nothing(bench, table):
    bench.timed.clear()
    build(bench, table, bench.space.every_block(), silent)
    assert bench.timed == []


def test_every_sample_of_every_file_is_kept_with_its_source_and_time(bench, table):
    for key, timed in LatencyTable.open(table.path).blocks().items():
        assert timed.source.value == "measured"
        assert timed.at.endswith("+00:00")
        assert any(key in file for file in timed.samples_ms)
        assert all(len(runs) == 3 for passes in timed.samples_ms.values() for runs in passes)


def test_a_longer_list_of_networks_begins_like_a_shorter_one():
    assert drawn(toy_space(), 12)[:6] == drawn(toy_space(), 6)


KILLED = """
import os, signal, sys
from pathlib import Path
from edge.latency import build as builder
from edge.latency.build import build
from edge.latency.table import LatencyTable
from tests.fakes.toy_space import ExactBench, tag, toy_space

builder.BLOCKS_AT_ONCE = 1
bench = ExactBench(toy_space())
table = LatencyTable.create(Path(sys.argv[1]), tag(bench.space))
put = table.put_block

def put_three(block, timed):
    if len(table.blocks()) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    put(block, timed)

table.put_block = put_three
build(bench, table, bench.space.every_block(), print)
"""


def test_a_build_that_was_killed_goes_on_behind_the_last_whole_block(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(builder, "BLOCKS_AT_ONCE", 1)
    path = tmp_path / "table.sqlite"
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", KILLED, str(path)]
    killed = subprocess.run(command, env=environment, cwd=root, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    table = LatencyTable.create(path, tag(bench.space))
    before = table.blocks()
    assert len(before) == 3
    build(bench, table, bench.space.every_block(), silent)
    again = [piece for piece in bench.timed if isinstance(piece, tuple) and len(piece) == CHAIN]
    assert not {piece[0].key for piece in again if piece[0].kind != "probe"} & {*before}
    after = table.blocks()
    assert {key: after[key] for key in before} == before
    assert {*after} == {block.key for block in bench.space.every_block()}


def test_a_network_outside_what_was_asked_for_brings_its_blocks_for_the_intercept(bench, tmp_path):
    table = LatencyTable.create(tmp_path / "table.sqlite", tag(bench.space))
    build(bench, table, (Block("conv", (("kernel", 3),), (4, 8, 8), (4, 8, 8)),), silent)
    assert len(table.networks()) == len(set(drawn(bench.space, builder.INTERCEPT_NETWORKS)))
    assert all(not table.missing(bench.space.blocks(spec)) for spec in table.networks())
