"""Results of others: read by their own forms, named by who measured them, and refused where they are damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.imports import ai_hub, benchmark_model, protobuf
from edge.imports.etdump import operators_of_tsv
from edge.measurement import Source

PERF = """
supported_devices: [Samsung Galaxy S24]
precisions:
  float:
    components:
      Small:
        universal_assets: {tflite: {model_id: m1}}
        performance_metrics:
          Samsung Galaxy S24:
            tflite:
              job_id: j1
              job_status: Passed
              inference_time_milliseconds: 0.184
              estimated_peak_memory_range_mb: {min: 0, max: 34}
              primary_compute_unit: NPU
              layer_counts: {total: 108, npu: 108}
              tool_versions: {qairt: 2.42.0, tflite: 2.17.0}
            onnx:
              job_id: j2
              job_status: Failed
            qnn_dlc:
              job_id: j3
              job_status: Passed
              inference_time_milliseconds: 1
              tool_versions: {qairt: 2.42.0}
  w4a16:
    components:
      Large language:
        performance_metrics:
          Samsung Galaxy S24:
            qnn_context_binary:
              llm_metrics: [{context_length: 4096, tokens_per_second: 7.72}]
  w8a8: {}
"""
COLUMNS = (
    "\tevent_block_name\tevent_name\tp10 (ms)\tp50 (ms)\tavg (ms)\top_types\tis_delegated_op\tdelegate_backend_name\n"
)
AROUND = "0\tforward\tMethod::execute\t8\t9\t9\t[]\tFalse\t\n"
NATIVE = "1\tforward\tnative_call_add.out\t0.9\t1.0\t2.0\t['aten.add']\tFalse\t\n"
CALL = "2\tforward\tDELEGATE_CALL\t5\t6\t6\t[]\tFalse\tXnnpackBackend\n"
INSIDE = "3\tforward\tConvolution (NHWC, F32) IGEMM #1\t0.4\t0.5\t0.5\t[]\tTrue\tXnnpackBackend\n"


def message_class(name: str, package: str, messages: dict[str, list[tuple[str, int, str, bool]]]):
    """A class of protobuf's own for messages given as (field, number, type, repeated): an oracle of our reader."""
    descriptors = pytest.importorskip("google.protobuf.descriptor_pb2")
    from google.protobuf import descriptor_pool, message_factory

    file = descriptors.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto2")
    kinds = descriptors.FieldDescriptorProto
    for title, fields in messages.items():
        message = file.message_type.add(name=title)
        for label, number, kind, repeated in fields:
            field = message.field.add(name=label, number=number, label=3 if repeated else 1)
            if kind in messages:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                field.type = getattr(kinds, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))


def result_class():
    times = ["avg", "min", "max", "stddev", "median", "p5", "p95", "init", "first", "warm_up"]
    return message_class(
        "Result", "result",
        {
            "Times": [(name, number, "float", False) for number, name in enumerate(times, 1)],
            "Memory": [("init_kb", 1, "int64", False), ("overall_kb", 2, "int64", False), ("peak_mb", 3, "float", False)],
            "Misc": [("size_mb", 1, "float", False), ("runs", 2, "int32", False)],
            "Result": [("name", 1, "string", False), ("times", 2, "Times", False), ("memory", 3, "Memory", False),
                       ("misc", 4, "Misc", False)],
        },
    )  # fmt: skip


def profile_class():
    return message_class(
        "Data", "profile",
        {
            "Stat": [("avg", 3, "int64", False), ("stddev", 4, "float", False), ("count", 9, "int64", False)],
            "Op": [("type", 1, "string", False), ("us", 2, "Stat", False), ("calls", 4, "int64", False),
                   ("name", 5, "string", False), ("order", 6, "int64", False)],
            "Graph": [("name", 1, "string", False), ("index", 2, "int32", False), ("ops", 3, "Op", True)],
            "Profile": [("graphs", 1, "Graph", True)],
            "Data": [("model", 1, "string", False), ("init", 2, "Profile", False), ("runs", 3, "Profile", False)],
        },
    )  # fmt: skip


def test_a_result_of_benchmark_model_is_its_median_on_the_device_that_is_said(tmp_path: Path):
    result = result_class()(name="small")
    result.times.avg, result.times.median, result.times.init = 2.5, 2.25, 17.5
    result.memory.init_kb, result.memory.peak_mb = -12, 46.5
    result.misc.runs = 50
    (tmp_path / "r.pb").write_bytes(result.SerializeToString())
    found = benchmark_model.latency(tmp_path / "r.pb", device="Pixel 9", precision="fp32")
    assert (found.ms, found.statistic, found.runs, found.init_ms, found.peak_rss_kb) == (
        2.25,
        "median",
        50,
        17.5,
        47616,
    )
    assert (found.device, found.model, found.by) == ("Pixel 9", "small", "TFLite benchmark_model")
    assert found.fields()["source"] == Source.MEASURED


def test_a_result_without_a_median_is_its_mean(tmp_path: Path):
    result = result_class()()
    result.times.avg = 2.5
    (tmp_path / "r.pb").write_bytes(result.SerializeToString())
    found = benchmark_model.latency(tmp_path / "r.pb", device="Pixel 9")
    assert (found.ms, found.statistic, found.runs, found.peak_rss_kb) == (2.5, "mean", None, None)


@pytest.mark.parametrize("ms", [-1.0, 0.0, float("nan"), float("inf")])
def test_a_result_with_an_impossible_time_is_refused(tmp_path: Path, ms):
    result = result_class()()
    result.times.median = ms
    (tmp_path / "r.pb").write_bytes(result.SerializeToString())
    with pytest.raises(UsageError):
        benchmark_model.latency(tmp_path / "r.pb", device="Pixel 9")


def test_a_file_that_is_no_result_is_refused(tmp_path: Path):
    (tmp_path / "r.pb").write_bytes(b"")
    with pytest.raises(UsageError, match="no latency"):
        benchmark_model.latency(tmp_path / "r.pb", device="Pixel 9")
    with pytest.raises(UsageError, match="cannot be read"):
        benchmark_model.latency(tmp_path / "absent.pb", device="Pixel 9")


def test_a_profile_is_in_the_order_of_execution_and_leaves_out_the_bodies_of_loops():
    data = profile_class()(model="small")
    data.init.graphs.add(index=0).ops.add(type="AllocateTensors", name="AllocateTensors/0").us.avg = 9500
    graph, body = data.runs.graphs.add(index=0), data.runs.graphs.add(index=1)
    later = graph.ops.add(type="CUMSUM", name="[sum]:2", order=5, calls=1)
    first = graph.ops.add(type="Convolution (NHWC, F32)", name="Delegate/Convolution (NHWC, F32):0", order=1, calls=2)
    inner = body.ops.add(type="ADD", name="[inner]:0", order=3, calls=1)
    later.us.avg, first.us.avg, inner.us.avg = 140, 40, 7
    found = benchmark_model.operators_of_proto(data.SerializeToString())
    assert [(each.type, pytest.approx(each.ms), each.delegate) for each in found] == [
        ("Convolution (NHWC, F32)", 0.08, "delegate"), ("CUMSUM", 0.14, ""),
    ]  # fmt: skip


@given(st.binary(max_size=64))
def test_any_bytes_are_a_message_or_a_usage_error(data):
    try:
        message = protobuf.parsed(data)
        message.integer(1), message.float32(2), message.text(3), message.messages(4)
    except UsageError:
        return
    assert isinstance(message, protobuf.Message)


@given(st.integers(-(2**63), 2**63 - 1), st.floats(width=32, allow_nan=False), st.text())
def test_fields_are_what_protobuf_wrote(number, fraction, text):
    kind = message_class(
        "M", "m", {"M": [("i", 1, "int64", False), ("f", 2, "float", False), ("s", 3, "string", False)]}
    )
    message = protobuf.parsed(kind(i=number, f=fraction, s=text).SerializeToString())
    assert (message.integer(1), message.float32(2), message.text(3)) == (number, fraction, text)


def test_operators_of_a_dump_are_medians_without_the_events_around_them():
    found = operators_of_tsv(COLUMNS + AROUND + NATIVE + CALL)
    assert [(each.name, each.type, each.ms, each.delegate) for each in found] == [
        ("native_call_add.out", "add.out", 1.0, ""), ("DELEGATE_CALL", "DELEGATE_CALL", 6.0, "XnnpackBackend"),
    ]  # fmt: skip


def test_a_delegate_that_tells_its_operators_is_not_counted_twice():
    found = operators_of_tsv(COLUMNS + NATIVE + CALL + INSIDE)
    assert [(each.type, each.ms, each.delegate) for each in found] == [
        ("add.out", 1.0, ""), ("Convolution (NHWC, F32) IGEMM", 0.5, "XnnpackBackend"),
    ]  # fmt: skip


def test_times_of_a_dump_are_brought_to_ms():
    found = operators_of_tsv((COLUMNS + NATIVE).replace("(ms)", "(us)"))
    assert found[0].ms == pytest.approx(0.001)


@pytest.mark.parametrize(
    "table",
    ["", "a\tb\n1\t2\n", COLUMNS, COLUMNS + AROUND, COLUMNS + NATIVE.replace("1.0", "nan"), COLUMNS + NATIVE.replace("1.0", "-1"),
     (COLUMNS + NATIVE).replace("(ms)", "(fortnights)"), COLUMNS + NATIVE[:30]],
)  # fmt: skip
def test_another_table_is_refused(table):
    with pytest.raises(UsageError):
        operators_of_tsv(table)


def perf(folder: Path, text: str) -> Path:
    path = folder / "perf.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_hub_s_latencies_are_by_device_and_runtime(tmp_path: Path):
    first, second = ai_hub.latencies(perf(tmp_path, PERF))
    assert (first.device, first.runtime, first.model, first.precision) == (
        "Samsung Galaxy S24", "tflite 2.17.0", "Small", "float",
    )  # fmt: skip
    assert (first.ms, first.peak_rss_kb, first.unit, first.reference) == (0.184, 34 * 1024, "NPU", "j1")
    assert (first.by, first.statistic, first.source) == ("Qualcomm AI Hub Models", "as published", Source.MEASURED)
    assert (second.runtime, second.ms, second.peak_rss_kb) == ("qnn_dlc 2.42.0", 1.0, None)


@pytest.mark.parametrize(
    "text",
    [
        "", "- 1", "a: b: c", "precisions: 3", "precisions: {float: {components: [1]}}",
        PERF.replace("0.184", "fast"), PERF.replace("0.184", "-1"), PERF.replace("0.184", ".nan"), PERF.replace("0.184", "true"),
        "!!python/object/apply:os.system [true]",
    ],
)  # fmt: skip
def test_another_yaml_is_refused(tmp_path: Path, text):
    with pytest.raises(UsageError):
        ai_hub.latencies(perf(tmp_path, text))
