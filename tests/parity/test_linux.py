"""A real file, timed as a user would on a board behind a real sshd: our runner, the board's real runtime, the whole report."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from devices._runners.litert import Litert
from edge import plugins
from edge.device_state import DeviceInfo
from edge.machine import Finished
from edge.measurement import Source
from edge.protocol import TimingPlan
from edge.spec import Recipe
from tests.fakes import sshd
from tests.fakes.sshd import Sshd

pytest.importorskip("ai_edge_litert.interpreter")
pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc, which builds the runner")
PLAN = TimingPlan(warmup=5, runs=30)


@pytest.fixture
def board(tmp_path, monkeypatch):
    if reason := sshd.missing():
        pytest.skip(reason)
    for name in ("home", "board"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    with Sshd.started(tmp_path / "home", tmp_path / "board") as started:
        monkeypatch.setenv("PATH", f"{started.client()}:{os.environ['PATH']}")
        yield started


@pytest.fixture
def model(file_of, tmp_path):
    path = tmp_path / "a b'c\"d;$(touch x)`touch y`.tflite"
    shutil.copy(file_of("classifier", Recipe("tflite")), path)
    return path


def edge(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_a_file_is_profiled_on_a_board_with_its_operators(board, model):
    done = edge("profile", model, "--device", f"linux:{board.which}", "--runs", 20, "--ops", "--budget", 0, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    played = "QEMU" in Path("/proc/cpuinfo").read_text()
    assert report["source"] == (Source.EMULATED if played else Source.MEASURED)
    assert len(report["samples_ms"]) == 20
    assert min(report["samples_ms"]) > 0
    assert report["runtime"].startswith("ai-edge-litert 2.3")
    assert report["device"].startswith(f"linux:{board.which} (")
    assert report["peak_rss_kb"] > 1000
    assert {each["delegate"] for each in report["ops"]} & {"XNNPACK"}
    assert sum(each["ms"] for each in report["ops"]) > 0
    assert board.left() == ()


def test_another_process_of_the_same_runner_here_is_the_yardstick(board, model, tmp_path, capsys):
    """The ratio is printed, not asserted: both are clocks of a machine that others use too."""
    here = DeviceInfo("host", "host", "ready", abi=os.uname().machine)
    for local, remote in Litert().program(here).files:
        shutil.copy(local, tmp_path / remote)
    there_ms, here_ms = [], []
    for _ in range(3):
        found = plugins.device(f"linux:{board.which}").time(model, PLAN, log=tmp_path / "log")
        there_ms += found.samples_ms
        command = Litert().invocation(PurePosixPath(tmp_path), model.name, PLAN).command
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        here_ms += Litert().round(Finished(0, done.stdout, done.stderr), {}).samples_ms
    assert len(there_ms) == len(here_ms) == 3 * PLAN.runs
    with capsys.disabled():
        ratio = statistics.median(there_ms) / statistics.median(here_ms)
        print(
            f"\nover ssh ÷ here: {ratio:.3f} ({statistics.median(there_ms):.4f} ms, {statistics.median(here_ms):.4f} ms)"
        )


@pytest.mark.parametrize(
    ("address", "code", "words"),
    [
        ("linux", 2, "which board?"),
        ("linux:-oProxyCommand=touch x", 2, "is no board"),
        ("linux:nobody-has-this-name.invalid", 6, "cannot connect"),
    ],
)
def test_a_board_that_is_none_ends_with_its_code(board, model, address, code, words):
    done = edge("profile", model, "--device", address, "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["code"]) == (code, code)
    assert words in report["error"]
    assert report["hint"]


def test_a_file_that_is_no_model_is_refused_by_the_board(board, model):
    model.write_bytes(b"no model at all")
    done = edge("profile", model, "--device", f"linux:{board.which}", "--json")
    assert done.returncode == 2
    assert "LiteRT" in json.loads(done.stdout)["error"]
    assert board.left() == ()


def test_a_runner_that_edge_cannot_build_says_how_to_get_it(board, model):
    program = model.with_suffix(".pte")
    program.write_bytes(b"ET12")
    done = edge("profile", program, "--device", f"linux:{board.which}", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 5
    assert "executor_runner" in report["error"]
    assert "--runner" in report["hint"]
    assert board.left() == ()
