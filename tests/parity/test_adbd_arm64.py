"""Over adb: an inference on an arm64 phone, run by qemu, equals the host's to 1e-5 of its spread (devices sheet §2)."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devices._runners import native
from devices._runners.runtime import WHEEL, download_command, runtime
from devices._runners.target import Target
from edge import plugins
from edge.errors import ToolchainMissingError
from edge.spec import InputKind, Precision, Recipe
from edge.toolchain import installed_version
from tests.fakes import small_networks as nets
from tests.fakes.adb_server import AdbServer
from tests.fakes.phone.description import NEW, THIS_MACHINES_ABI

if TYPE_CHECKING:
    from tests.fakes.adbd import Adbd

pytest.importorskip("ai_edge_litert.interpreter")
FOLDER = "/data/local/tmp/edge"
AGREES = 1e-5
"""Relative to the largest output: both sides sum float32 in orders of their own (devices sheet §2.3)."""


def test_the_phone_is_an_arm64_machine(adb_server: AdbServer, arm64_phone: Adbd) -> None:
    done = adb_server.adb("-s", arm64_phone.serial, "shell", "uname -m; getprop ro.product.cpu.abi; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == (b"aarch64\narm64-v8a\n", b"", 3)


def test_a_command_of_the_arm64_phone_is_killed_with_its_client(adb_server: AdbServer, arm64_phone: Adbd) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        adb_server.adb("-s", arm64_phone.serial, "shell", "echo $$ >/pid; trap '' HUP; sleep 1000", timeout_s=3)
    pid = (arm64_phone.userland.root / "pid").read_text().strip()
    waits = f"i=0; while kill -0 {pid} 2>/dev/null && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done; kill -0 {pid}"
    assert adb_server.adb("-s", arm64_phone.serial, "shell", waits).returncode == 1


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small classifier as `small.tflite`, its picture as `picture`, and what this machine answers, as `answer.npy`."""
    folder = tmp_path_factory.mktemp("exported")
    card = nets.classifier_card(InputKind.FLOAT)
    program = nets.program_for("tflite", nets.randomised(nets.Classifier()), *nets.example(card))
    exporter = plugins.exporter("tflite")
    exporter.lower(program, Recipe("tflite", Precision.FP32, InputKind.FLOAT), card, folder / "small.tflite")
    picture = np.random.default_rng(0).random(card.inputs[0].shape, np.float32)
    picture.tofile(folder / "picture")
    np.save(folder / "answer.npy", exporter.load(folder / "small.tflite")([picture])[0])
    return folder


def library(target: Target) -> Path:
    """LiteRT's library; for arm64 out of a wheel that is downloaded once."""
    try:
        return runtime(target).path
    except ToolchainMissingError:
        command = download_command(installed_version(WHEEL) or "")
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            pytest.skip(f"no LiteRT for {target}: {done.stderr.strip()[-200:]}")
        return runtime(target).path


def infer(adb_server: AdbServer, phone: Adbd, target: Target, exported: Path) -> tuple[np.ndarray, dict]:
    """The phone's output, and the runner's report."""
    files = (native.built(target), library(target), exported / "small.tflite", exported / "picture")
    for file in files:
        assert adb_server.adb("-s", phone.serial, "push", file, f"{FOLDER}/{file.name}").returncode == 0
    command = (
        f"cd {FOLDER} && chmod 755 {native.NAME} && taskset 80 ./{native.NAME} --model small.tflite "
        f"--library ./{files[1].name} --input picture --output out --runs 3 --warmup 1"
    )
    done = adb_server.adb("-s", phone.serial, "shell", command, timeout_s=300)
    assert done.returncode == 0, done.stdout + done.stderr
    adb_server.adb("-s", phone.serial, "pull", f"{FOLDER}/out0", exported / target)
    return np.fromfile(exported / target, np.float32), json.loads(done.stdout.splitlines()[-1])


def agrees(found: np.ndarray, exported: Path) -> bool:
    wanted = np.load(exported / "answer.npy").ravel()
    return found.shape == wanted.shape and float(np.abs(found - wanted).max()) <= AGREES * float(np.abs(wanted).max())


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
@pytest.mark.skipif(THIS_MACHINES_ABI != "x86_64", reason="needs an x86-64 machine")
def test_a_phone_with_this_machines_programs_answers_as_this_machine(
    adb_server: AdbServer, attach: Callable[..., Adbd], exported: Path
) -> None:
    phone = attach(replace(NEW, abi=THIS_MACHINES_ABI))
    found, report = infer(adb_server, phone, Target.LINUX_X86_64, exported)
    assert agrees(found, exported)
    assert (report["machine"], len(report["runs_ns"])) == ("x86_64", 3)


@pytest.mark.skipif(
    shutil.which("aarch64-linux-gnu-gcc") is None, reason="needs aarch64-linux-gnu-gcc: make device-tools"
)
def test_an_arm64_phone_answers_as_this_machine(adb_server: AdbServer, arm64_phone: Adbd, exported: Path) -> None:
    found, report = infer(adb_server, arm64_phone, Target.LINUX_ARM64, exported)
    assert agrees(found, exported)
    assert (report["machine"], len(report["runs_ns"])) == ("aarch64", 3)
