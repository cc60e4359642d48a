"""executor_runner: its log, new and old, becomes samples or a reason; its dump becomes operators."""

from __future__ import annotations

import subprocess
from pathlib import PurePosixPath

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from devices._runners.executor_runner import DUMP, ExecutorRunner
from edge.device_state import DeviceInfo
from edge.errors import DeviceError, EdgeError, ToolchainMissingError, UsageError
from edge.machine import Finished
from edge.protocol import Round, TimingPlan

SAMPLES_MS = (9.5, 4.25, 2.0, 2.125, 2.0625)
HEAD = """\
edge: 2 warm-ups, 3 runs
I 00:00:00.000392 executorch:cpuinfo_utils.cpp:71] Reading file /sys/devices/soc0/image_version
I 00:00:00.004885 executorch:executor_runner.cpp:211] Resetting threadpool with num threads = 1
I 00:00:00.010302 executorch:executor_runner.cpp:289] Model file /data/local/tmp/edge/a.pte is loaded.
I 00:00:00.010305 executorch:executor_runner.cpp:298] Using method forward
"""
ITERATION = "I 00:00:00.0{place}0310 executorch:executor_runner.cpp:521] Iteration {place} of {of}: {ms:f} ms\n"
TOTAL = "I 00:00:00.090000 executorch:executor_runner.cpp:540] Model executed successfully {of} time(s) in {ms:f} ms.\n"


def log(samples=SAMPLES_MS) -> str:
    loaded = "I 00:00:00.020310 executorch:executor_runner.cpp:390] Model loaded in 12.500000 ms.\n"
    lines = [ITERATION.format(place=place, of=len(samples), ms=ms) for place, ms in enumerate(samples, 1)]
    return HEAD + loaded + "".join(lines) + TOTAL.format(of=len(samples), ms=sum(samples))


OLD = HEAD + TOTAL.format(of=5, ms=20)
OLDEST = HEAD + "I 00:00:00.090000 executorch:executor_runner.cpp:240] Model executed successfully 5 time(s)\n"


def read(text: str, exit_code: int = 0) -> Round:
    return ExecutorRunner().round(Finished(exit_code, text, ""), {})


def test_warm_ups_are_left_out_and_the_rest_are_samples():
    assert read(log()) == Round((2.0, 2.125, 2.0625), 12.5, None)


def test_a_build_that_tells_the_total_only_is_refused_with_its_mean():
    with pytest.raises(DeviceError, match="4 ms on average, warm-ups included"):
        read(OLD)


def test_a_build_that_tells_no_time_at_all_is_refused():
    with pytest.raises(DeviceError, match="older build"):
        read(OLDEST)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("edge: 2 warm-ups, 3 runs\n", ""),
        ("edge: 2 warm-ups, 3 runs\n", "edge: 2 warm-ups, 4 runs\n"),
        ("Iteration 3 of 5", "Iteration 4 of 5"),
        ("Iteration 3 of 5", "Iteration 3 of 6"),
        ("Iteration 3 of 5: 2.000000", "Iteration 3 of 5: -2.000000"),
        ("Iteration 3 of 5: 2.000000", "Iteration 3 of 5: nan"),
        ("Iteration 3 of 5: 2.000000", "Iteration 3 of 5: 7.000000"),
        ("Iteration 3 of 5", "Iteration"),
        ("Model executed successfully", "Model failed"),
        ("5 time(s)", "6 time(s)"),
        ("loaded in 12.500000", "loaded in inf"),
    ],
)
def test_impossible_logs_are_refused(was, becomes):
    text = log()
    assert was in text
    with pytest.raises(DeviceError):
        read(text.replace(was, becomes))


def test_a_log_that_appears_twice_is_refused():
    with pytest.raises(DeviceError):
        read(log() + log())


@given(st.integers(0, log().index("time(s)") + 6))
def test_a_log_that_was_cut_gives_no_number(length):
    with pytest.raises(DeviceError):
        read(log()[:length])


@given(st.data())
def test_a_log_with_one_wrong_character_gives_its_numbers_or_an_error(data):
    text = log()
    place = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.characters(codec="utf-8"))
    assume(not (text[place].isdigit() and character.isdigit()))
    try:
        found = read(text[:place] + character + text[place + 1 :])
    except EdgeError:
        return
    assert len(found.samples_ms) == 3
    assert all(0 < sample < 1e6 for sample in found.samples_ms)


def test_a_shell_announces_the_plan_and_becomes_the_runner(tmp_path):
    path = tmp_path / "executor_runner"
    path.write_text('#!/bin/sh\nfor each in "$@"; do echo "$each" >&2; done\n')
    path.chmod(0o755)
    plan = TimingPlan(warmup=2, runs=3, threads=4)
    command = ExecutorRunner().invocation(PurePosixPath(tmp_path), "a 'b' $(c).pte", plan).command
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "edge: 2 warm-ups, 3 runs", f"--model_path={tmp_path}/a 'b' $(c).pte", "--num_executions=5", "--cpu_threads=4",
        "--print_output=none",
    ]  # fmt: skip


@pytest.mark.parametrize("contents", [None, b""])
def test_no_dump_says_how_to_build_the_runner(tmp_path, contents):
    if contents is not None:
        (tmp_path / DUMP).write_bytes(contents)
    with pytest.raises(UsageError, match="no event tracer") as caught:
        ExecutorRunner().operators(Finished(0, log(), ""), {DUMP: tmp_path / DUMP})
    assert "EXECUTORCH_ENABLE_EVENT_TRACER=ON" in caught.value.hint


def test_a_missing_runner_says_how_to_build_it(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path))
    with pytest.raises(ToolchainMissingError, match="linux-arm64/executor_runner") as caught:
        ExecutorRunner().program(DeviceInfo("board", "linux", "ready", abi="aarch64"))
    assert "--target executor_runner" in caught.value.hint
