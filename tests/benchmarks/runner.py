"""Latency that our C runner reports over that of LiteRT's Python interpreter, in turns in one run.

`python runner.py FILE.tflite [--rounds N] [--runs N] [--threads N]` prints the ratio of the medians, and of the lower quartiles.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

from devices._runners.litert import Litert
from edge.device_state import DeviceInfo
from edge.machine import Finished
from edge.protocol import TimingPlan

QUARTILES = {1: "median", 0: "lower quartile"}
"""Where others share the cores, the median falls now on a free core and now on a shared one; the quartile does not."""
IN_PYTHON = """
import json, sys, time
import numpy as np
from ai_edge_litert.interpreter import Interpreter

path, warmup, runs, threads = sys.argv[1], *map(int, sys.argv[2:])
interpreter = Interpreter(path, num_threads=threads)
interpreter.allocate_tensors()
for spec in interpreter.get_input_details():
    interpreter.set_tensor(spec["index"], np.zeros(spec["shape"], spec["dtype"]))
samples_ms = []
for _ in range(warmup + runs):
    started = time.perf_counter_ns()
    interpreter.invoke()
    samples_ms.append((time.perf_counter_ns() - started) * 1e-6)
print(json.dumps(samples_ms[warmup:]))
"""


def in_c(folder: Path, plan: TimingPlan) -> tuple[float, ...]:
    """Samples in ms of one start of our runner in `folder`."""
    command = Litert().invocation(PurePosixPath(folder), "model.tflite", plan).command
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Litert().round(Finished(done.returncode, done.stdout, done.stderr), {}).samples_ms


def in_python(folder: Path, plan: TimingPlan) -> tuple[float, ...]:
    """Samples in ms of one start of Python with LiteRT's interpreter."""
    numbers = map(str, (plan.warmup, plan.runs, plan.threads))
    command = [sys.executable, "-c", IN_PYTHON, str(folder / "model.tflite"), *numbers]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def ratio(name: str, c_ms: list[float], python_ms: list[float], place: int) -> str:
    c, python = (statistics.quantiles(samples_ms, n=4)[place] for samples_ms in (c_ms, python_ms))
    return f"{name}: C / Python {c / python:.3f} ({c:.3f} and {python:.3f} ms of {len(c_ms)} runs each)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    for name, default in (("rounds", 20), ("runs", 20), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    plan = TimingPlan(warmup=10, runs=options.runs, threads=options.threads)
    c_ms: list[float] = []
    python_ms: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "model.tflite").symlink_to(options.file.resolve())
        for local, remote in Litert().program(DeviceInfo("host", "host", "ready", abi=platform.machine())).files:
            (folder / remote).symlink_to(local.resolve())
        for place in range(options.rounds):
            turns = ((c_ms, in_c), (python_ms, in_python))
            for samples_ms, timed in turns if place % 2 == 0 else turns[::-1]:
                samples_ms.extend(timed(folder, plan))
    print(options.file.name, "; ".join(ratio(name, c_ms, python_ms, place) for place, name in QUARTILES.items()))


if __name__ == "__main__":
    main()
