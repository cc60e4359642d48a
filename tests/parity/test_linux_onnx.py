"""A real .onnx file on a board behind a real sshd: the board's own Python and onnxruntime, and what is said where they are not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.measurement import Source
from edge.spec import Recipe
from tests.fakes import sshd
from tests.fakes.sshd import Sshd

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture
def board(tmp_path, monkeypatch):
    """`board(PATH)`: started with this search path for programs."""
    if reason := sshd.missing():
        pytest.skip(reason)
    for name in ("home", "board"):
        (tmp_path / name).mkdir()
    started: list[Sshd] = []

    def start(path: str) -> Sshd:
        started.append(Sshd.started(tmp_path / "home", tmp_path / "board", environment={"PATH": path}).__enter__())
        monkeypatch.setenv("PATH", f"{started[0].client()}:{os.environ['PATH']}")
        return started[0]

    yield start
    for each in started:
        each.__exit__(None, None, None)


@pytest.fixture
def ours(tmp_path):
    """A folder whose python3 is the one of this test, with its onnxruntime."""
    return python(tmp_path, f'exec "{sys.executable}" "$@"')


@pytest.fixture
def model(file_of, tmp_path):
    path = tmp_path / "a b'c\"d;$(touch x)`touch y`.onnx"
    shutil.copy(file_of("classifier", Recipe("onnx")), path)
    return path


def python(tmp_path: Path, script: str) -> Path:
    folder = tmp_path / "bin of the board"
    folder.mkdir()
    (folder / "python3").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "python3").chmod(0o755)
    return folder


def profile(model: Path, board: Sshd, *more: object) -> tuple[int, dict]:
    command = ("profile", model, "--device", f"linux:{board.which}", "--json", "--budget", 0, *more)
    done = subprocess.run(
        (sys.executable, "-m", "edge", *map(str, command)), capture_output=True, text=True, check=False, timeout=300
    )
    assert board.left() == ()
    assert not [*board.home.rglob("*onnxruntime*")]  # where it would keep what it reports home
    return done.returncode, json.loads(done.stdout)


def test_a_file_is_profiled_on_a_board_with_its_operators(board, model, ours):
    code, report = profile(model, board(f"{ours}:/usr/bin:/bin"), "--runs", 20, "--threads", 1, "--ops")
    assert code == 0, report
    played = "QEMU" in Path("/proc/cpuinfo").read_text()
    assert report["source"] == (Source.EMULATED if played else Source.MEASURED)
    assert len(report["samples_ms"]) == 20
    assert min(report["samples_ms"]) > 0
    assert report["runtime"].startswith(f"onnxruntime {onnxruntime.__version__} (Python 3.")
    assert report["init_ms"] > 0
    assert report["peak_rss_kb"] > 10_000
    assert {"Conv", "Gemm"} & {each["type"] for each in report["ops"]}
    assert sum(each["ms"] for each in report["ops"]) > 0


def test_a_file_that_is_no_model_is_refused_by_the_board(board, model, ours):
    model.write_bytes(b"no model at all")
    code, report = profile(model, board(f"{ours}:/usr/bin:/bin"))
    assert code == 2
    assert "onnxruntime on the device failed (model)" in report["error"]


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        (f'exec "{sys.executable}" -S "$@"', 5, "No module named"),  # without the site that has the wheels
        ("exit 127", 5, "no python3"),
        ("echo Python 2.7.18", 6, "makes no sense"),
        (
            'echo \'{"error": "ImportError: onnxruntime 1.16.3 is older than 1.18", "stage": "library"}\'; exit 3',
            5,
            "older",
        ),
    ],
)
def test_a_board_without_a_runtime_is_told_how_to_get_it(board, model, tmp_path, script, code, words):
    ended, report = profile(model, board(f"{python(tmp_path, script)}:/usr/bin:/bin"))
    assert ended == report["code"] == code
    assert words in report["error"]
    if code == 5:
        assert "python3 -m pip install onnxruntime" in report["hint"]
