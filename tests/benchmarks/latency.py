"""Latency of our files over the stock path's (timm and the vendor's converter), interleaved in one process per runtime.

`python latency.py [MODEL...] [--rounds N]` prints one row per model: the ratio of the medians, and both medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge import plugins

MODELS = ("efficientvit_m0", "efficientvit_m2", "efficientvit_m5", "efficientformerv2_s0", "efficientformer_l1")
TARGETS = ("executorch", "tflite", "onnx")
STOCK = Path(__file__).with_name("stock.py")


def make(model: str, scratch: Path) -> dict[str, tuple[Path, Path]]:
    """Our file and the stock file of a model per target."""
    command = [
        sys.executable,
        "-m",
        "edge",
        "export",
        model,
        "--target",
        ",".join(TARGETS),
        "--out",
        str(scratch),
        "--json",
    ]
    environment = {**os.environ, "EDGE_CACHE": str(scratch / "cache")}
    exported = json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    files = {}
    for artifact in exported["artifacts"]:
        stock = scratch / f"stock-{model}{plugins.exporter(artifact['target']).suffix}"
        subprocess.run(
            [sys.executable, str(STOCK), artifact["target"], model, str(stock)], capture_output=True, check=True
        )
        files[artifact["target"]] = (Path(artifact["path"]), stock)
    return files


def runner(path: Path) -> Callable[[np.ndarray], object]:
    """The file in its vendor's runtime, as plainly as the vendor shows it: one thread where the runtime lets us say so."""
    return {".tflite": tflite, ".onnx": onnx, ".pte": executorch}[path.suffix](str(path))


def tflite(path: str) -> Callable[[np.ndarray], object]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=1)
    interpreter.allocate_tensors()
    index = interpreter.get_input_details()[0]["index"]

    def run(picture: np.ndarray) -> None:
        interpreter.set_tensor(index, picture)
        interpreter.invoke()

    return run


def onnx(path: str) -> Callable[[np.ndarray], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda picture: session.run(None, {session.get_inputs()[0].name: picture})


def executorch(path: str) -> Callable[[np.ndarray], object]:
    import torch
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(path)
    method = program.load_method("forward")
    return lambda picture: (program, method.execute([torch.from_numpy(picture)]))  # the program must outlive its method


def interleaved(ours: Path, stock: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Latencies in ms of both files, run in turn in this process, after ten warm-up rounds."""
    runners = [runner(ours), runner(stock)]
    picture = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    samples: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 10):
        for run, column in zip(runners, samples, strict=True):
            started = time.perf_counter()
            run(picture)
            column.append((time.perf_counter() - started) * 1e3)
    return samples[0][10:], samples[1][10:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--rounds", type=int, default=80)
    parser.add_argument("--pair", nargs=2, type=Path, help="only time these two files (the child's side)")
    options = parser.parse_args()
    if options.pair:
        print(json.dumps(interleaved(*options.pair, options.rounds)))
        return
    print(f"{'model':<22}{'target':<12}{'ours ms':>9}{'stock ms':>9}{'ratio':>7}")
    for model in options.models:
        with tempfile.TemporaryDirectory() as folder:
            for target, pair in make(model, Path(folder)).items():
                command = [sys.executable, __file__, "--rounds", str(options.rounds), "--pair", *map(str, pair)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                ours, stock = (statistics.median(column) for column in json.loads(done.stdout.splitlines()[-1]))
                print(f"{model:<22}{target:<12}{ours:9.2f}{stock:9.2f}{ours / stock:7.2f}", flush=True)


if __name__ == "__main__":
    main()
