"""A file of somebody else's results is known by its ending, and says where it was measured or must be told."""

from __future__ import annotations

import pytest

from edge.errors import UsageError
from edge.latency.imported import imported

PERF = """
precisions:
  float:
    components:
      Small:
        performance_metrics:
          Phone 9:
            tflite: {job_id: j1, job_status: Passed, inference_time_milliseconds: 0.184, primary_compute_unit: NPU}
"""
DUMP = "\tevent_name\tp50 (us)\tis_delegated_op\tdelegate_backend_name\n0\tnative_call_add.out\t1500\tFalse\t\n"
CSV = (
    "===== Run Order =====\nnode type, first, avg_ms, %, cdf%, mem KB, times called, name\n"
    "CONV_2D, 0.1, 0.25, 100%, 100%, 0, 1, conv\n"
)
RESULT = b"\x0a\x03net\x12\x05\x0d\x00\x00\x00\x41"
"""BenchmarkResult-like: model `net`, a mean of 8.0 ms, written by hand."""


@pytest.fixture
def file(tmp_path):
    def write(name: str, contents: str | bytes):
        path = tmp_path / name
        path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
        return path

    return write


def test_a_perf_yaml_says_its_devices(file):
    found = imported(file("perf.yaml", PERF), "")
    assert [(each.device, each.ms, each.unit) for each in found.latencies] == [("Phone 9", 0.184, "NPU")]
    assert found.fields()["latencies"][0]["source"] == "measured"


def test_a_dump_of_executorch_gives_operators_on_the_device_that_is_said(file):
    found = imported(file("dump.tsv", DUMP), "Phone 9")
    assert (found.device, found.latencies) == ("Phone 9", ())
    assert [(each.type, each.ms) for each in found.operators] == [("add.out", 1.5)]


def test_a_profile_of_benchmark_model_as_csv(file):
    found = imported(file("profile.csv", CSV), "Phone 9")
    assert [(each.name, each.ms) for each in found.operators] == [("conv", 0.25)]


def test_a_result_of_benchmark_model_as_protobuf(file):
    found = imported(file("result.pb", RESULT), "Phone 9")
    assert [(each.device, each.ms, each.statistic) for each in found.latencies] == [("Phone 9", 8.0, "mean")]


@pytest.mark.parametrize(("name", "contents"), [("dump.tsv", DUMP), ("profile.csv", CSV), ("result.pb", RESULT)])
def test_where_it_was_measured_must_be_said_if_the_file_does_not(file, name, contents):
    with pytest.raises(UsageError, match="where it was measured") as error:
        imported(file(name, contents), "")
    assert "--device" in error.value.hint


@pytest.mark.parametrize("name", ["perf.yaml", "dump.tsv", "profile.csv", "result.pb"])
def test_rubbish_is_refused(file, name):
    with pytest.raises(UsageError):
        imported(file(name, b"\xff\xfe rubbish \x00"), "Phone 9")
