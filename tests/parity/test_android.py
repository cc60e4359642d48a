"""`edge profile --device android:SERIAL` with the real runner and a real file, on phones of this and of another processor."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devices._runners import native, runtime
from devices._runners.target import Target
from edge import __main__ as edge
from edge.errors import ToolchainMissingError
from edge.spec import Recipe
from edge.toolchain import installed_version
from tests.fakes.adb_server import AdbServer
from tests.fakes.phone.description import NEW, THIS_MACHINES_ABI

if TYPE_CHECKING:
    from tests.fakes.adbd import Adbd

pytest.importorskip("ai_edge_litert")
RUNS = 5


def runner_folder(target: Target, folder: Path) -> Path:
    """Our runner for `target`, as a user brings it; LiteRT for arm64 comes out of a wheel that is downloaded once."""
    try:
        library = runtime.runtime(target)
    except ToolchainMissingError:
        command = runtime.download_command(installed_version(runtime.WHEEL) or "")
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            pytest.skip(f"no LiteRT for {target}: {done.stderr.strip()[-200:]}")
        library = runtime.runtime(target)
    folder.mkdir()
    shutil.copy2(native.built(target), folder / native.NAME)
    shutil.copy2(library.path, folder / runtime.LIBRARY)
    (folder / "VERSION").write_text(library.version)
    return folder


def profile(phone: Adbd, path: Path, runner: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    """The JSON document of `edge profile`; nothing of it is left on the phone."""
    options = ("--runner", str(runner), "--runs", str(RUNS), "--warmup", "1", "--budget", "0", "--json", *words)
    capsys.readouterr()
    code = edge.run(["profile", str(path), "--device", f"android:{phone.serial}", *options])
    document = json.loads(capsys.readouterr().out)
    assert code == 0, document
    assert not list((phone.userland.root / "data/local/tmp").iterdir())
    return document


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
@pytest.mark.skipif(THIS_MACHINES_ABI != "x86_64", reason="needs an x86-64 machine")
def test_a_real_file_is_timed_on_a_phone_with_its_operators(
    attach: Callable[..., Adbd], edges_adb: AdbServer, file_of, tmp_path: Path, capsys
) -> None:
    phone = attach(replace(NEW, abi=THIS_MACHINES_ABI))
    runner = runner_folder(Target.LINUX_X86_64, tmp_path / "runner")
    found = profile(phone, file_of("classifier", Recipe("tflite")), runner, capsys, "--ops")
    assert len(found["samples_ms"]) == RUNS
    assert min(found["samples_ms"]) > 0
    assert (found["source"], found["threads"]) == ("emulated", 1)
    assert "ai-edge-litert" in found["runtime"]
    assert found["before"]["battery_percent"] == 80
    assert found["ops"]
    assert (phone.userland.root / "phone/taskset").read_text().splitlines()[
        -1
    ] == "80"  # the one fastest core of 0 to 7


@pytest.mark.skipif(shutil.which("aarch64-linux-gnu-gcc") is None, reason="needs aarch64-linux-gnu-gcc")
def test_a_real_file_is_timed_on_an_arm64_phone_and_marked_as_emulated(
    arm64_phone: Adbd, edges_adb: AdbServer, file_of, tmp_path: Path, capsys
) -> None:
    runner = runner_folder(Target.LINUX_ARM64, tmp_path / "runner")
    found = profile(arm64_phone, file_of("classifier", Recipe("tflite")), runner, capsys)
    assert len(found["samples_ms"]) == RUNS
    assert found["source"] == "emulated"


@pytest.mark.skipif(shutil.which("aarch64-linux-gnu-gcc") is None, reason="needs aarch64-linux-gnu-gcc")
def test_a_runner_for_arm64_is_refused_on_a_phone_that_is_not(
    attach: Callable[..., Adbd], edges_adb: AdbServer, file_of, tmp_path: Path, capsys
) -> None:
    phone = attach(replace(NEW, abi="x86_64"))
    runner = runner_folder(Target.LINUX_ARM64, tmp_path / "runner")
    words = ("--device", f"android:{phone.serial}", "--runner", str(runner), "--runs", "1", "--json")
    code = edge.run(["profile", str(file_of("classifier", Recipe("tflite"))), *words])
    error = json.loads(capsys.readouterr().out)
    assert code == 6
    assert "is built for arm64-v8a" in error["error"]
    assert not list((phone.userland.root / "data/local/tmp").iterdir())
