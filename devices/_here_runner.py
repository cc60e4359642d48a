"""Operator times on this machine by a runner of devices, for files whose runtime in Python does not tell them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path, PurePosixPath

from devices._runner import Runner
from edge.device_state import DeviceInfo
from edge.errors import DeviceError
from edge.machine import Finished
from edge.operator_times import OperatorTime
from edge.protocol import TimingPlan


def operators(runner: Runner, path: Path, info: DeviceInfo, plan: TimingPlan, log: Path) -> tuple[OperatorTime, ...]:
    """The time of each operator of the file. Raises what the runner raises, and `DeviceError` past the time limit."""
    with tempfile.TemporaryDirectory(prefix="edge-") as name:
        folder = Path(name)
        for local, remote in runner.program(info).files:
            shutil.copy(local, folder / remote)
        model = f"model{path.suffix}"
        shutil.copy(path, folder / model)
        command = runner.operators_invocation(PurePosixPath(folder), model, plan).command
        finished = _finished(command, plan)
        log.write_text(finished.stdout + finished.stderr, encoding="utf-8")
        return runner.operators(finished, {})


def _finished(command: tuple[str, ...], plan: TimingPlan) -> Finished:
    """As a process of its own on the last cores, as the Python runtimes are timed."""
    cores = sorted(os.sched_getaffinity(0))[-plan.threads :]
    taskset = shutil.which("taskset")
    pinned = (taskset, "-c", ",".join(map(str, cores))) if taskset else ()
    try:
        done = subprocess.run(
            (*pinned, *command), capture_output=True, text=True, errors="replace", timeout=plan.timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise DeviceError(
            f"{Path(command[0]).name} took longer than {plan.timeout_s:g} s and was stopped",
            hint="allow more with --timeout SECONDS",
        ) from None
    code = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return Finished(code, done.stdout, done.stderr)
