"""A table of a small space, built, held against whole networks and refused on this host, in real runtimes."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from edge import plugins
from edge.__main__ import run
from edge.errors import UsageError
from edge.latency.bench import Effort
from edge.latency.build import build
from edge.latency.check import check
from edge.latency.start import bench_of
from edge.latency.table import LatencyTable
from edge.latency.tag import Setup
from edge.protocol import TimingPlan
from edge.spec import Precision
from tests.fakes.toy_space import ExactBench, toy_space

EFFORT = Effort(rounds=2, passes=2, turns=1, more_rounds=0, plan=TimingPlan(warmup=1, runs=6, budget_s=60))


@pytest.mark.parametrize("target", ["executorch", "tflite"])
def test_a_table_of_this_host_knows_all_blocks_and_all_samples(target, tmp_path):
    space = toy_space()
    setup = Setup.of(space, "host", target, Precision.FP32, 1)
    wanted = [*space.blocks(space.smallest()), *space.blocks(space.largest())]
    with bench_of(space, setup, EFFORT, tmp_path / "log") as bench:
        tag = bench.tag()
        table = LatencyTable.create(tmp_path / "table.sqlite", tag)
        build(bench, table, wanted, print)
        assert not table.missing(wanted)
        for timed in table.blocks().values():
            assert timed.source.value == "measured"
            for passes in timed.samples_ms.values():
                assert [len(runs) for runs in passes] == [6] * 4
        checked = check(bench, table, models=4, pairs=1, seed=0, progress=print)
    assert len({row.spec for row in checked.rows} - {*table.networks()}) == 4
    assert all(row.measured_ms > 0 for row in checked.rows)
    assert checked.source == "measured"
    other = replace(tag, runtime=f"{tag.runtime}.post1")
    with pytest.raises(UsageError, match=tag.runtime):
        LatencyTable.open(table.path, other)


def test_a_prediction_measures_the_block_that_is_missing_and_keeps_it(tmp_path, capsys):
    space = plugins.space("efficientformer", (32, 32), 10)
    blocks = space.blocks(space.smallest())
    with bench_of(space, Setup.of(space, "host", "onnx", Precision.FP32, 1), EFFORT, tmp_path / "log") as bench:
        table = LatencyTable.create(tmp_path / "table.sqlite", bench.tag())
    build(ExactBench(space), table, blocks, print)
    made_up = {key: timed.ms for key, timed in table.blocks().items()}
    with closing(sqlite3.connect(table.path)) as rows, rows:
        rows.execute("DELETE FROM block WHERE key = ?", (blocks[-1].key,))
    (tmp_path / "spec.json").write_text(json.dumps(space.smallest().fields()))
    given = (str(tmp_path / "spec.json"), "--table", str(table.path), "--budget", "0.02", "--json")
    words = ["latency", "predict", *given]
    assert run(words) == 2
    capsys.readouterr()
    assert run([*words, "--measure"]) == 0
    document = json.loads(capsys.readouterr().out)
    measured = table.blocks()[blocks[-1].key]
    assert measured.source.value == "measured"
    assert measured.samples_ms
    assert measured.ms != made_up[blocks[-1].key]
    assert {row["block"]: row["ms"] for row in document["rows"]} == {
        block.key: measured.ms if block == blocks[-1] else made_up[block.key] for block in blocks
    }
