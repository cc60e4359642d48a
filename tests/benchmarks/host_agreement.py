"""Our latency on the host beside the vendors' own loops over the same file, in turns: `python tests/benchmarks/host_agreement.py`.

Theirs is what a user of the runtime would write, with nothing of edge: load the file on one thread, warm up, time each call.
Each turn starts both afresh, pinned alike; the ratio is that of the medians over all turns.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from edge import plugins
from edge.protocol import TimingPlan

LOOP = """
import json, os, sys, time
import numpy as np
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
path, warmup, runs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
%s
times = []
for run in range(warmup + runs):
    started = time.perf_counter()
    call()
    times.append((time.perf_counter() - started) * 1e3)
print(json.dumps(times[warmup:]))
"""
LOADS = {
    "tflite": """
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=path, num_threads=1)
interpreter.allocate_tensors()
given, made = interpreter.get_input_details()[0], interpreter.get_output_details()
value = np.zeros(given["shape"], given["dtype"])
def call():
    interpreter.set_tensor(given["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(each["index"]) for each in made]
""",
    "onnx": """
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
feeds = {each.name: np.zeros(each.shape, np.float32) for each in session.get_inputs()}
def call():
    return session.run(None, feeds)
""",
    "executorch": """
import torch
from executorch.extension.pybindings import _portable_lib
_portable_lib._unsafe_reset_threadpool(1)
from executorch.runtime import Runtime
method = Runtime.get().load_program(path).load_method("forward")
value = torch.zeros(method.metadata.input_tensor_meta(0).sizes())
def call():
    return method.execute([value])
""",
}


def theirs(target: str, path: Path, plan: TimingPlan) -> list[float]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", LOOP % LOADS[target], str(path), str(plan.warmup), str(plan.runs)]
    said = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
    found: list[float] = json.loads(said.stdout.splitlines()[-1])
    return found


def ours(path: Path, plan: TimingPlan, log: Path) -> list[float]:
    return list(plugins.device("host").time(path, plan, log=log).samples_ms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["efficientvit_m0", "efficientformerv2_s0"])
    parser.add_argument("--turns", type=int, default=7)
    asked = parser.parse_args()
    plan = TimingPlan(warmup=10, runs=100)
    print(f"{'model':24}{'target':12}{'ours ms':>9}{'theirs ms':>11}{'ratio':>8}")
    for model in asked.models:
        with tempfile.TemporaryDirectory() as scratch:
            words = ["export", model, "--target", ",".join(LOADS), "--out", scratch, "--json"]
            said = subprocess.run([sys.executable, "-m", "edge", *words], check=True, capture_output=True, text=True)
            for artifact in json.loads(said.stdout)["artifacts"]:
                path, target = Path(artifact["path"]), artifact["target"]
                pairs = [
                    (ours(path, plan, Path(scratch) / "log"), theirs(target, path, plan)) for _ in range(asked.turns)
                ]
                mine, other = (
                    median(sample for turn in column for sample in turn) for column in zip(*pairs, strict=True)
                )
                print(f"{model:24}{target:12}{mine:9.3f}{other:11.3f}{mine / other:8.3f}", flush=True)


if __name__ == "__main__":
    main()
