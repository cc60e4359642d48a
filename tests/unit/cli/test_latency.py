"""`edge latency`: the JSON of the contract, and every mistake explained with exit code 2."""

from __future__ import annotations

import json

import pytest

from edge import plugins
from edge.__main__ import run
from edge.latency.build import build
from edge.latency.table import LatencyTable
from tests.fakes.toy_space import ExactBench, tag


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Of the real EfficientFormer space at 32 pixels, its times made up: blocks of its smallest and six random networks."""
    bench = ExactBench(plugins.space("efficientformer", (32, 32), 10))
    found = LatencyTable.create(tmp_path_factory.mktemp("table") / "table.sqlite", tag(bench.space))
    build(bench, found, bench.space.blocks(bench.space.smallest()), print)
    return found, bench


def predict(capsys, *arguments):
    assert run(["latency", "predict", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_prediction_says_what_it_is_and_what_it_is_made_of(table, tmp_path, capsys):
    found, bench = table
    spec = bench.space.smallest()
    (tmp_path / "spec.json").write_text(json.dumps(spec.fields()))
    document = predict(capsys, tmp_path / "spec.json", "--table", found.path)
    assert document["schema"] == "edge.latency/1"
    assert document["source"] == "predicted"
    assert document["predicted_ms"] == pytest.approx(bench.ms(spec))
    assert {row["source"] for row in document["rows"]} == {"measured"}
    assert document["intercept_ms"] + sum(row["ms"] for row in document["rows"]) == pytest.approx(bench.ms(spec))
    assert (document["blocks"], document["device"]) == (len(found.blocks()), "toy")


def test_a_block_that_the_table_does_not_know_is_an_error_that_names_it(table, tmp_path, capsys):
    found, bench = table
    (tmp_path / "spec.json").write_text(json.dumps(bench.space.largest().fields()))
    assert run(["latency", "predict", str(tmp_path / "spec.json"), "--table", str(found.path), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert found.missing(bench.space.blocks(bench.space.largest()))[0].key in json.dumps(error)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("predict efficientformer_mini --table none.sqlite", "there is no table"),
        ("check --table none.sqlite", "there is no table"),
        ("build --space efficientforme --table x.sqlite --image-size 32", "efficientformer"),
        ("build --space efficientformer --table x.sqlite --image-size big", "not an image size"),
        ("build --space efficientformer --table x.sqlite --image-size 32 --precision fp8", "fp8"),
        ("build --space efficientformer --table x.sqlite --image-size 32 --target tflit", "tflite"),
        ("build --space efficientformer --table x.sqlite --image-size 32 --spec none.json", "no point"),
        ("build --space efficientformer --table x.sqlite --image-size 32 --spec l1", "no member"),
        ("build --space efficientformer --table x.sqlite --image-size 32 --threads 0", "threads"),
        ("import none.yaml", "none.yaml"),
        ("bild", "bild"),
    ],
)
def test_mistakes_end_in_exit_code_2(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["latency", *arguments.split()]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x.sqlite").exists()


def test_an_import_is_kept_beside_the_table(table, tmp_path, capsys):
    found, _ = table
    job = "{job_status: Passed, inference_time_milliseconds: 2.5}"
    metrics = f"performance_metrics: {{Phone 9: {{tflite: {job}}}}}"
    (tmp_path / "perf.yaml").write_text(f"precisions: {{float: {{components: {{Net: {{{metrics}}}}}}}}}")
    assert run(["latency", "import", str(tmp_path / "perf.yaml"), "--table", str(found.path), "--json"]) == 0
    latencies = json.loads(capsys.readouterr().out)["latencies"]
    assert [(each["device"], each["ms"], each["source"]) for each in latencies] == [("Phone 9", 2.5, "measured")]
    assert LatencyTable.open(found.path).imported() == latencies
