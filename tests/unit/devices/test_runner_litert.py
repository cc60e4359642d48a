"""The adapter of our own runner: what it starts, and that it makes numbers only of what the runner can have written."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from devices._runners.litert import Litert
from edge.device_state import DeviceInfo
from edge.errors import (
    BadArtifactError,
    DeviceError,
    EdgeError,
    NotExecutableHereError,
    ToolchainMissingError,
    UsageError,
)
from edge.machine import Finished
from edge.protocol import Round, TimingPlan

BOARD = DeviceInfo("board", "linux", "ready", abi="aarch64")
DURATIONS_NS = (2_000_000, 1_500_000, 1_250_000)
CONVOLUTION, CUMSUM = ["Convolution (NHWC, F32) IGEMM", 8, 0], ["CUMSUM", 2, 2]


def document(**changed) -> dict:
    starts = [10**12 + sum(DURATIONS_NS[:place]) + 70 * place for place in range(len(DURATIONS_NS))]
    return {
        "machine": "aarch64", "pid": 4711, "threads": 1, "warmup": 5, "runs": len(DURATIONS_NS), "dlopen_ms": 1.5,
        "init_ms": 57.25, "peak_rss_kb": 33000,
        "runs_ns": [list(run) for run in zip(starts, DURATIONS_NS, strict=True)], **changed,
    }  # fmt: skip


def finished(text: str, exit_code: int = 0) -> Finished:
    return Finished(exit_code, text, "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")


def read(text: str, exit_code: int = 0) -> Round:
    return Litert().round(finished(text, exit_code), {})


def test_the_runner_is_started_with_the_plan():
    plan = TimingPlan(warmup=3, runs=20, threads=2)
    command = Litert().invocation(PurePosixPath("/data/local/tmp/edge"), "a file.tflite", plan).command
    assert command == (
        *("/data/local/tmp/edge/edge_runner", "--model", "/data/local/tmp/edge/a file.tflite"),
        *("--library", "/data/local/tmp/edge/libLiteRt.so", "--runs", "20", "--warmup", "3", "--threads", "2"),
    )


def test_every_run_is_a_sample_in_ms():
    found = read("# run 2 of 3\n" + json.dumps(document()) + "\n")
    assert found == Round((2.0, 1.5, 1.25), 57.25, 33000)


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("another number of runs", {"runs": 4}),
        ("no runs", {"runs": 0, "runs_ns": []}),
        ("a negative run", {"runs_ns": [[1, 5], [10, -5], [20, 5]]}),
        ("a run of nothing", {"runs_ns": [[1, 5], [10, 0], [20, 5]]}),
        ("a run of weeks", {"runs_ns": [[1, 5], [10, 10**16], [10**17, 5]]}),
        ("a start before the last end", {"runs_ns": [[1, 5], [5, 5], [20, 5]]}),
        ("a start that goes back", {"runs_ns": [[100, 5], [50, 5], [200, 5]]}),
        ("a fraction of a ns", {"runs_ns": [[1, 5.5], [10, 5], [20, 5]]}),
        ("a triple", {"runs_ns": [[1, 5, 5], [10, 5], [20, 5]]}),
        ("text for a run", {"runs_ns": ["ab", [10, 5], [20, 5]]}),
        ("truth for a time", {"runs_ns": [[1, True], [10, 5], [20, 5]]}),
        ("no start-up", {"init_ms": 0}),
        ("a text as start-up", {"init_ms": "57"}),
        ("no memory", {"peak_rss_kb": None}),
    ],
)
def test_impossible_documents_are_refused(what, changed):
    with pytest.raises(DeviceError):
        read(json.dumps(document(**changed)))


@pytest.mark.parametrize("text", ["", "\n", "Segmentation fault", "[]", "3", "null", "{}", "[" * 100_000])
def test_output_that_is_no_document_is_refused(text):
    with pytest.raises(DeviceError):
        read(text)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(constant):
    with pytest.raises(DeviceError):
        read(json.dumps(document()).replace("57.25", constant))


@given(st.integers(0, len(json.dumps(document())) - 1))
def test_a_document_that_was_cut_gives_no_number(length):
    with pytest.raises(DeviceError):
        read(json.dumps(document())[:length])


@given(st.data())
def test_a_document_with_one_wrong_character_gives_its_numbers_or_an_error(data):
    """A digit that turned into another is beyond any reader; all else must not become a number."""
    text = json.dumps(document())
    place = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.characters(codec="utf-8"))
    assume(not (text[place].isdigit() and character.isdigit()))
    try:
        found = read(text[:place] + character + text[place + 1 :])
    except EdgeError:
        return
    assert all(0 < sample < 1e9 for sample in found.samples_ms)
    assert len(found.samples_ms) == len(DURATIONS_NS)


@pytest.mark.parametrize(
    ("stage", "code", "error"),
    [("library", 3, ToolchainMissingError), ("model", 4, BadArtifactError), ("run", 5, DeviceError)],
)
def test_the_runner_s_own_errors_keep_their_kind(stage, code, error):
    with pytest.raises(error, match="status 500"):
        read(json.dumps({"error": "LiteRtCreateModelFromFile returned status 500", "stage": stage}), code)


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [(137, DeviceError, "short of memory"), (139, DeviceError, "SIGSEGV"), (126, NotExecutableHereError, "not for this"),
     (127, NotExecutableHereError, "not there"), (1, DeviceError, "exit code 1"), (255, DeviceError, "exit code 255")],
)  # fmt: skip
def test_the_end_of_the_process_says_why(code, error, words):
    with pytest.raises(error, match=words):
        read("", code)


@pytest.mark.parametrize("stage", [None, 3, [], {}, "elsewhere"])
def test_an_error_without_a_stage_is_still_an_error(stage):
    with pytest.raises(DeviceError):
        read(json.dumps({"error": "what", "stage": stage}), 5)


def test_a_result_of_a_process_that_then_crashed_is_refused():
    with pytest.raises(DeviceError, match="SIGSEGV"):
        read(json.dumps(document()), 139)


def test_operators_are_medians_and_name_their_delegate():
    runs = [[[*CONVOLUTION, us], [*CUMSUM, 100 + us]] for us in (30, 50, 40)]
    found = Litert().operators(finished(json.dumps(document(operators=runs))), {})
    assert [(each.type, each.ms, each.delegate) for each in found] == [
        (CONVOLUTION[0], pytest.approx(0.040), "XNNPACK"), ("CUMSUM", pytest.approx(0.140), ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "runs",
    [
        [],
        [[[*CONVOLUTION, 1]]],
        [[[*CONVOLUTION, 1]], [[*CUMSUM, 1]], [[*CONVOLUTION, 1]]],
        [[[*CONVOLUTION, -1]]] * 3,
        [[[*CONVOLUTION, 0.5]]] * 3,
        [[["CUMSUM", 2]]] * 3,
        "many",
    ],
)
def test_operators_that_differ_or_are_damaged_are_refused(runs):
    with pytest.raises(DeviceError):
        Litert().operators(finished(json.dumps(document(operators=runs))), {})


def test_a_folder_of_the_user_is_taken_whole(tmp_path: Path):
    for name, text in (("edge_runner", ""), ("libLiteRt.so", ""), ("VERSION", "2.3.0\n")):
        (tmp_path / name).write_text(text)
    program = Litert(tmp_path).program(BOARD)
    assert [remote for _, remote in program.files] == ["edge_runner", "libLiteRt.so"]
    assert "2.3.0" in program.version


@pytest.mark.parametrize("version", ["2.2.1", "3.0.0", "2.30.0", ""])
def test_a_folder_with_another_release_is_refused(tmp_path: Path, version):
    for name, text in (("edge_runner", ""), ("libLiteRt.so", ""), ("VERSION", version)):
        (tmp_path / name).write_text(text)
    with pytest.raises(ToolchainMissingError, match=r"knows 2\.3"):
        Litert(tmp_path).program(BOARD)


def test_a_folder_that_lacks_something_says_what(tmp_path: Path):
    with pytest.raises(ToolchainMissingError, match=r"no edge_runner and no libLiteRt\.so and no VERSION"):
        Litert(tmp_path).program(BOARD)


def test_a_processor_without_a_runner_is_refused():
    with pytest.raises(NotExecutableHereError, match="riscv64"):
        Litert().program(DeviceInfo("board", "linux", "ready", abi="riscv64"))


def test_runners_are_chosen_by_the_file_and_by_the_user(tmp_path: Path):
    from devices._runners import runner_for

    brought = tmp_path / "android_aarch64_benchmark_model"
    assert runner_for(Path("a.tflite")).name == "litert"
    assert runner_for(Path("a.tflite"), tmp_path).name == "litert"
    assert runner_for(Path("a.pte")).name == "executor_runner"
    assert runner_for(Path("a.tflite"), brought).name == "benchmark_model"
    with pytest.raises(UsageError, match=r"runs \.tflite files"):
        runner_for(Path("a.pte"), brought)
    with pytest.raises(UsageError, match="not a runner"):
        runner_for(Path("a.tflite"), Path("/bin/true"))
    with pytest.raises(NotExecutableHereError, match=r"\.mlpackage"):
        runner_for(Path("a.mlpackage"))
