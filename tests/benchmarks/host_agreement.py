"""Our latency on the host beside the vendors' own loops over the same file, in turns: `python tests/benchmarks/host_agreement.py`.

Theirs is what a user of the runtime would write, with nothing of edge: load the file on one thread, warm up, time each call. Ours
is what `edge profile` does in its process. Both alternate in one process per file, each loading the file anew every turn, so that
a machine that slows down slows both; the ratio is that of the medians over all turns. `outside` is what the command
`edge profile` takes, from start to end, beyond its timed runs: the least of a few.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import median

import numpy as np
from edge_command import edge

from edge import tasks

Call = Callable[[], object]
WARMUP, RUNS = 5, 25
"""Of a turn, short: a machine that others share changes its pace within seconds."""
COMMANDS = 3
"""Of which the quickest tells what a command takes."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Medians of the latencies in ms over all turns."""

    ours_ms: float
    theirs_ms: float

    @property
    def ratio(self) -> float:
        return self.ours_ms / self.theirs_ms


def tflite(path: str) -> Call:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()
    value = np.zeros(given["shape"], given["dtype"])

    def call() -> object:
        interpreter.set_tensor(given["index"], value)
        interpreter.invoke()
        return [interpreter.get_tensor(each["index"]) for each in made]

    return call


def onnx(path: str) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {each.name: np.zeros(each.shape, np.float32) for each in session.get_inputs()}
    return lambda: session.run(None, feeds)


def executorch(path: str) -> Call:
    import torch
    from executorch.extension.pybindings import _portable_lib
    from executorch.runtime import Runtime

    _portable_lib._unsafe_reset_threadpool(1)
    method = Runtime.get().load_program(path).load_method("forward")
    assert method is not None
    value = torch.zeros(*method.metadata.input_tensor_meta(0).sizes())
    return lambda: method.execute([value])


LOADS = {"tflite": tflite, "onnx": onnx, "executorch": executorch}


def theirs(load: Callable[[str], Call], path: str) -> list[float]:
    call = load(path)
    times = []
    for _ in range(WARMUP + RUNS):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1e3)
    return times[WARMUP:]


def compared(target: str, path: str, turns: int) -> Agreement:
    """In a process of its own; who goes first changes every turn."""
    mine: list[float] = []
    other: list[float] = []
    sides: list[Callable[[], None]] = [
        lambda: mine.extend(tasks.measure(path, WARMUP, RUNS, 1)["samples_ms"]),  # keeps this process on one core
        lambda: other.extend(theirs(LOADS[target], path)),
    ]
    for _ in range(turns):
        for side in sides:
            side()
        sides.reverse()
    return Agreement(median(mine), median(other))


def outside_s(path: str) -> float:
    """Of one round of the command, without repeats for a tighter interval."""
    found = []
    for _ in range(COMMANDS):
        started = time.perf_counter()
        profile = edge("profile", path, "--budget", "0")
        found.append(time.perf_counter() - started - sum(profile["samples_ms"]) / 1e3)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["efficientvit_m0", "efficientformerv2_s0"])
    parser.add_argument("--turns", type=int, default=60)
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    print(f"{'model':24}{'target':12}{'ours ms':>9}{'theirs ms':>11}{'ratio':>8}{'outside s':>11}")
    for model in asked.models:
        with tempfile.TemporaryDirectory() as scratch:
            for artifact in edge("export", model, "--target", ",".join(LOADS), "--out", scratch)["artifacts"]:
                path, target = artifact["path"], artifact["target"]
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                    found = pool.submit(compared, target, path, asked.turns).result()
                figures = f"{found.ours_ms:9.3f}{found.theirs_ms:11.3f}{found.ratio:8.3f}{outside_s(path):11.2f}"
                print(f"{model:24}{target:12}{figures}", flush=True)


if __name__ == "__main__":
    main()
