"""benchmark_model: its words, new and old, become samples; anything that it could not have printed becomes an error."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from devices._runners.benchmark_model import PROFILE, BenchmarkModel
from edge.device_state import DeviceInfo
from edge.errors import DeviceError, EdgeError, NotExecutableHereError, ToolchainMissingError
from edge.machine import Finished
from edge.protocol import Round, TimingPlan

FOLDER = PurePosixPath("/data/local/tmp/edge")
PHONE = DeviceInfo("phone", "android", "device", abi="arm64-v8a")
MICROSECONDS = (2010, 1990, 2050)

NEW = """\
INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Min num runs: [1]
INFO: Graph: [/data/local/tmp/edge/a.tflite]
INFO: Loaded model /data/local/tmp/edge/a.tflite
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
INFO: Replacing 63 out of 64 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 2 partitions for subgraph 0.
INFO: The input model file size (MB): 16.9008
INFO: Initialized session in 17.187ms.
INFO: Running benchmark for at least 5 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
INFO: count=5 first=3512 curr=2100 min=2050 max=3512 avg=2.4e+03 std=500 p5=2050 median=2100 p95=3512

INFO: Running benchmark for at least 1 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
INFO: count=1 curr={us} p5={us} median={us} p95={us}

INFO: Inference timings in us: Init: 17187, First inference: 3512, Warmup (avg): 2400, Inference (avg): {us}
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE
INFO: Memory footprint delta from the start of the tool (MB): init=4.21 overall=46.1
"""
OLD = """\
STARTING!
Min num runs: [1]
Graph: [/data/local/tmp/edge/a.tflite]
Loaded model /data/local/tmp/edge/a.tflite
The input model file size (MB): 16.9008
Initialized session in 17.187ms.
Running benchmark for at least 5 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
count=5 first=3512 curr=2100 min=2050 max=3512 avg=2400 std=500

Running benchmark for at least 1 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
count=1 curr={us}

Inference timings in us: Init: 17187, First inference: 3512, Warmup (avg): 2400, Inference (avg): {us}
Peak memory footprint (MB): init=4.21 overall=46.1
"""
COMPILED_MODEL = """\
INFO: Running benchmark for at least 5 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
INFO: count=5 first=3512 curr=2100 min=2050 max=3512 avg=2400 std=500 p5=2050 median=2100 p95=3512
INFO: Running benchmark for at least 1 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
INFO: count=1 curr={us} p5={us} median={us} p95={us}
INFO: ========== BENCHMARK RESULTS ==========
INFO: Model initialization: 17.19 ms
INFO: Warmup (first):       3.51 ms
INFO: Warmup (avg):         2.40 ms (5 runs)
INFO: Inference (avg):      2.01 ms (1 runs)
INFO: Overall footprint: 46.1 MB
"""
CSV_NEW = """\
Profiling Info for Benchmark Initialization:
============================== Run Order ==============================
node type, first, avg_ms, %, cdf%, mem KB, times called, name
AllocateTensors, 9.5, 9.5, 100%, 100%, 0, 1, AllocateTensors/0

Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
node type, first, avg_ms, %, cdf%, mem KB, times called, name
Convolution (NHWC, F32) IGEMM, 0.05, 0.04, 20%, 20%, 0, 1, Delegate/Convolution (NHWC\t F32) IGEMM:0
CUMSUM, 0.16, 0.14, 70%, 90%, 0, 1, [cumsum\t other]:2
TfLiteGpuDelegateV2, 0.03, 0.01, 10%, 100%, 0, 2, [out]:3

============================== Top by Computation Time ==============================
node type, first, avg_ms, %, cdf%, mem KB, times called, name
CUMSUM, 0.16, 0.14, 70%, 70%, 0, 1, [cumsum\t other]:2

Number of nodes executed: 3
============================== Summary by node type ==============================
node type, count, avg_ms, avg %, cdf %, mem KB, times called
CUMSUM, 1, 0.14, 70%, 70%, 0, 1

Timings (microseconds): count=50 first=240 curr=200 min=190 max=240 avg=200 std=8
Memory (bytes): count=0
3 nodes observed

Delegate internal:
============================== Run Order ==============================
node type, first, avg_ms, %, cdf%, mem KB, times called, name
DelegateOpInvoke, 0.05, 0.02, 100%, 100%, 0, 1, Delegate/inner:0
"""
CSV_OLD = CSV_NEW.replace("node type, first", "node type, start, first").replace(", 0.05, 0.04", ", 0, 0.05, 0.04")
CSV_OLD = CSV_OLD.replace("CUMSUM, 0.16", "CUMSUM, 0.04, 0.16").replace("V2, 0.03", "V2, 0.18, 0.03")
CSV_OLD = CSV_OLD.replace("\t F32", ", F32").replace("[cumsum\t other]", "[cumsum, other]")
TABS = (
    "INFO: Operator-wise Profiling Info for Regular Benchmark Runs:\n"
    "============================== Run Order ==============================\n"
    "\t             [node type]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]\n"
    "\tConvolution (NHWC, F32) IGEMM\t    0.050\t    0.040\t 20.000%\t 20.000%\t     0.000\t        1\t"
    "Delegate/Convolution (NHWC, F32) IGEMM:0\n"
    "\t                  CUMSUM\t    0.160\t    0.140\t 70.000%\t 90.000%\t     0.000\t        1\t[cumsum, other]:2\n"
    "\t     TfLiteGpuDelegateV2\t    0.030\t    0.010\t 10.000%\t100.000%\t     0.000\t        2\t[out]:3\n"
    "\n============================== Top by Computation Time ==============================\n"
)


def printed(form: str, samples=MICROSECONDS) -> str:
    starts = "".join(f"edge: start {place}\n{form.format(us=us)}" for place, us in enumerate(samples))
    return f"{starts}edge: {len(samples)} of {len(samples)}\n"


def read(text: str, exit_code: int = 0) -> Round:
    return BenchmarkModel().round(Finished(exit_code, text, ""), {})


@pytest.mark.parametrize("form", [NEW, OLD])
def test_every_start_is_a_sample(form):
    found = read(printed(form))
    assert found.samples_ms == pytest.approx((2.01, 1.99, 2.05))
    assert (found.init_ms, found.peak_rss_kb) == (pytest.approx(17.187), round(46.1 * 1024))


def test_the_tool_for_compiled_models_is_read_too():
    found = read(printed(COMPILED_MODEL))
    assert found.samples_ms == pytest.approx((2.01, 1.99, 2.05))
    assert (found.init_ms, found.peak_rss_kb) == (17.19, round(46.1 * 1024))


def test_memory_that_is_not_told_is_none():
    assert read(printed(OLD.replace("Peak memory footprint", "Nothing"))).peak_rss_kb is None


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("count=1 curr=1990", "count=7 first=1990 curr=1990"),
        ("count=1 curr=1990", "count=1 curr=-1990"),
        ("count=1 curr=1990", "count=1 curr=nan"),
        ("count=1 curr=1990", "count=1 curr=inf"),
        ("count=1 curr=1990", "count=1 curr=fast"),
        ("count=1 curr=1990", ""),
        ("edge: start 1\n", ""),
        ("edge: start 1\n", "edge: start 2\n"),
        ("edge: 3 of 3\n", ""),
        ("edge: 3 of 3\n", "edge: 3 of 4\n"),
        ("edge: 3 of 3\n", "edge: 2 of 2\n"),
        ("Init: 17187,", "Init: nan,"),
        ("overall=46.1", "overall=-3"),
    ],
)
def test_impossible_output_is_refused(was, becomes):
    text = printed(OLD)
    assert was in text
    with pytest.raises(DeviceError):
        read(text.replace(was, becomes))


@given(st.integers(0, len(printed(NEW)) - 2))
def test_output_that_was_cut_gives_no_number(length):
    with pytest.raises(DeviceError):
        read(printed(NEW)[:length])


@given(st.data())
def test_output_with_one_wrong_character_gives_its_numbers_or_an_error(data):
    text = printed(NEW)
    place = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.characters(codec="utf-8"))
    assume(not (text[place].isdigit() and character.isdigit()))
    try:
        found = read(text[:place] + character + text[place + 1 :])
    except EdgeError:
        return
    assert len(found.samples_ms) == len(MICROSECONDS)
    assert all(0 < sample < 1e9 for sample in found.samples_ms)


@pytest.mark.parametrize("code", [1, 126, 127, 137, 139])
def test_a_process_that_failed_gives_no_number(code):
    with pytest.raises((DeviceError, NotExecutableHereError)):
        read(printed(NEW), code)


def fake(folder: Path, text: str) -> Path:
    path = folder / "benchmark_model"
    path.write_text(f"#!/bin/sh\necho \"$@\" >> {folder}/log\ncat <<'END'\n{text}END\n")
    path.chmod(0o755)
    return path


def test_a_shell_starts_it_for_every_sample_with_exact_counts(tmp_path):
    fake(tmp_path, OLD.format(us=2010))
    name = "a 'quoted' $(model).tflite"
    invocation = BenchmarkModel().invocation(PurePosixPath(tmp_path), name, TimingPlan(warmup=4, runs=3, threads=2))
    done = subprocess.run(invocation.command, capture_output=True, text=True, check=False)
    found = BenchmarkModel().round(Finished(done.returncode, done.stdout, done.stderr), {})
    assert found.samples_ms == pytest.approx((2.01,) * 3)
    flags = f"--graph={tmp_path}/{name} --num_threads=2 --warmup_runs=4 --min_secs=0 --warmup_min_secs=0 --num_runs=1"
    assert (tmp_path / "log").read_text().splitlines() == [flags] * 3


def test_a_start_that_fails_ends_the_loop_with_its_code(tmp_path):
    path = fake(tmp_path, "")
    path.write_text("#!/bin/sh\nexit 42\n")
    invocation = BenchmarkModel().invocation(PurePosixPath(tmp_path), "a.tflite", TimingPlan(runs=3))
    done = subprocess.run(invocation.command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (42, "edge: start 0\n")


EXPECTED = [
    ("Convolution (NHWC, F32) IGEMM", "Convolution (NHWC, F32) IGEMM:0", 0.04, "delegate"),
    ("CUMSUM", "[cumsum, other]:2", 0.14, ""),
    ("TfLiteGpuDelegateV2", "[out]:3", 0.02, "TfLiteGpuDelegateV2"),
]


@pytest.mark.parametrize("text", [CSV_NEW, CSV_OLD, TABS])
def test_the_profile_of_builds_without_proto_is_read_from_the_output(text):
    found = BenchmarkModel().operators(Finished(0, text, ""), {})
    assert [(each.type, each.name, pytest.approx(each.ms), each.delegate) for each in found] == EXPECTED


def test_the_profile_is_asked_for_as_proto_and_fetched():
    invocation = BenchmarkModel().operators_invocation(FOLDER, "a.tflite", TimingPlan(runs=9))
    assert invocation.results == (PROFILE,)
    assert f"--op_profiling_output_file={FOLDER}/{PROFILE}" in invocation.command
    assert "--num_runs=9" in invocation.command


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        CSV_NEW.replace("CUMSUM, 0.16, 0.14", "CUMSUM, 0.16, ?"),
        CSV_NEW.split("CUMSUM", maxsplit=1)[0][:-60],
    ],
)
def test_a_damaged_profile_is_refused(text):
    with pytest.raises(DeviceError):
        BenchmarkModel().operators(Finished(0, text, ""), {})


def test_a_damaged_proto_is_refused(tmp_path):
    (tmp_path / PROFILE).write_bytes(b"\x1a\xff\xff")
    with pytest.raises(DeviceError):
        BenchmarkModel().operators(Finished(0, CSV_NEW, ""), {PROFILE: tmp_path / PROFILE})


def test_a_missing_tool_says_where_it_comes_from_and_where_it_goes(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path))
    with pytest.raises(ToolchainMissingError, match="runners/android-arm64/benchmark_model") as caught:
        BenchmarkModel().program(PHONE)
    assert "publish it for Android" in caught.value.hint


def test_the_users_own_is_named_by_its_contents(tmp_path):
    path = fake(tmp_path, "")
    program = BenchmarkModel(path).program(PHONE)
    assert program.files == ((path, "benchmark_model"),)
    assert program.version.startswith("benchmark_model sha256:")
    path.chmod(0o644)
    with pytest.raises(ToolchainMissingError, match="not executable"):
        BenchmarkModel(path).program(PHONE)
