"""Linux boards as devices: what is refused before anything is sent, and what a run on a real board behind ssh leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge import plugins
from edge.errors import DeviceError, NotExecutableHereError, UsageError
from edge.measurement import Source
from edge.protocol import TimingPlan
from tests.fakes import sshd
from tests.fakes.sshd import Sshd, eventually, running

SAYS = '{"runs": 2, "runs_ns": [[1000, 2000000], [2001000, 3000000]], "init_ms": 1.5, "peak_rss_kb": 640}'


@pytest.fixture
def board(tmp_path, monkeypatch):
    if reason := sshd.missing():
        pytest.skip(reason)
    for name in ("home", "board"):
        (tmp_path / name).mkdir()
    with Sshd.started(tmp_path / "home", tmp_path / "board") as started:
        monkeypatch.setenv("PATH", f"{started.client()}:{os.environ['PATH']}")
        yield started


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "a b'c\"d;$(touch x)`touch y`.tflite"
    path.write_bytes(b"a model")
    return path


def plan(tmp_path: Path, script: str, **more) -> TimingPlan:
    """To be timed by a runner that is a shell script; it is pushed and started like the real one."""
    folder = tmp_path / "runner"
    folder.mkdir()
    (folder / "edge_runner").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "edge_runner").chmod(0o755)
    (folder / "libLiteRt.so").write_bytes(b"")
    (folder / "VERSION").write_text("2.3.0\n")
    return TimingPlan(warmup=0, runs=2, runner=folder, **more)


def test_a_network_is_not_searched_for_boards():
    assert plugins.device("linux:board").attached() == ()


def test_files_with_a_runner_can_run():
    device = plugins.device("linux:board")
    assert device.can_run(Path("a.tflite"))
    assert device.can_run(Path("a.pte"))
    assert device.can_run(Path("a.onnx"))
    assert not device.can_run(Path("a.mlpackage"))


def test_a_board_must_be_named(model, tmp_path):
    with pytest.raises(UsageError, match="which board") as refused:
        plugins.device("linux").time(model, TimingPlan(), log=tmp_path / "log")
    assert "linux:USER@HOST" in refused.value.hint


def test_an_option_of_ssh_is_no_board(model, tmp_path):
    with pytest.raises(UsageError, match="is no board"):
        plugins.device(f"linux:-oProxyCommand=touch {tmp_path}/x").time(model, TimingPlan(), log=tmp_path / "log")
    assert not (tmp_path / "x").exists()


def test_what_the_runner_says_on_the_board_is_the_measurement(board, model, tmp_path):
    ready = plan(tmp_path, f"cat model.tflite\necho\necho '{SAYS}'")
    found = plugins.device(f"linux:{board.which}").time(model, ready, log=tmp_path / "log")
    assert found.samples_ms == (2.0, 3.0)
    assert (found.init_ms, found.peak_rss_kb) == (1.5, 640)
    assert found.runtime == "ai-edge-litert 2.3.0 (C API)"
    assert found.info.id == f"linux:{board.which}"
    assert found.before is not None
    assert found.source in (Source.MEASURED, Source.EMULATED)  # this machine may itself be played by a program
    assert (tmp_path / "log").read_text().startswith("a model\n")
    assert board.left() == ()


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ("echo nonsense", DeviceError, "makes no sense"),
        ("exit 3", DeviceError, "exit code 3"),
        ("kill -SEGV $$", DeviceError, "SIGSEGV"),
        ("kill -KILL $$", DeviceError, "lack of memory"),
        ("exec /nowhere/at/all", NotExecutableHereError, "does not start"),
        ("exec sleep 300.0456", DeviceError, "took longer than 1 s"),
    ],
)
def test_a_runner_that_fails_is_our_error_and_leaves_nothing(board, model, tmp_path, script, error, words):
    with pytest.raises(error, match=words):
        plugins.device(f"linux:{board.which}").time(model, plan(tmp_path, script, timeout_s=1), log=tmp_path / "log")
    assert board.left() == ()
    assert not running("300.0456")


def test_a_runner_that_is_incomplete_leaves_nothing(board, model, tmp_path):
    ready = plan(tmp_path, "exit 0")
    (tmp_path / "runner" / "VERSION").unlink()
    with pytest.raises(plugins.ToolchainMissingError, match="has no VERSION"):
        plugins.device(f"linux:{board.which}").time(model, ready, log=tmp_path / "log")
    assert board.left() == ()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_edge_that_is_interrupted_leaves_nothing(board, model, tmp_path, number):
    runner = plan(tmp_path, "exec sleep 300.0789").runner
    command = ("profile", str(model), "--device", f"linux:{board.which}", "--runner", str(runner))
    edge = subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "edge", *command], stderr=subprocess.PIPE
    )
    assert eventually(lambda: running("300.0789"))
    edge.send_signal(number)
    edge.communicate(timeout=60)
    assert edge.returncode != 0
    assert not running("300.0789")
    assert board.left() == ()
