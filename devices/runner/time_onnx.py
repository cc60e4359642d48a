"""Times an .onnx file with the onnxruntime of the Python that runs this, and ends with one JSON document, as edge_runner does.

usage: python3 time_onnx.py [--model FILE [--runs N] [--warmup N] [--threads N] [--profile FILE]]

Without a file it only names the runtime. With a profile, onnxruntime's own profile of all runs goes to that file, at the
cost of slower runs. Inputs are zeros, and a size that the file leaves open is 1.

A board runs this by itself: it needs nothing but numpy and onnxruntime, and is written for Python 3.6, so that an old Python
gets as far as to say what is too old. A failure is {"error": ..., "stage": ...} with the stage's exit code.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STAGES = {"library": 3, "model": 4, "run": 5}
OLDEST = (1, 18)
"""Of onnxruntime: the first that reads files of IR version 10, which is what edge writes; 1.17.3 refuses them."""
SILENT = "ORT_DISABLE_TELEMETRY"
"""Keeps onnxruntime 1.29 and later from reporting home, and from leaving files for it (its pull request 27379)."""
NUMPY = {"float": "float32", "double": "float64"}
"""ONNX's names of types that numpy names otherwise."""


@contextmanager
def stage(name: str) -> "Iterator[None]":
    """Whatever goes wrong in the block is said, and ends the process."""
    try:
        yield
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        print(json.dumps({"error": f"{type(error).__name__}: {lines[-1][:600]}", "stage": name}), flush=True)
        sys.exit(STAGES[name])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--profile", default="")
    for name, number in (("--runs", 50), ("--warmup", 5), ("--threads", 1)):
        parser.add_argument(name, type=int, default=number)
    return parser.parse_args()


def runtime() -> str:
    """The runtime's name and version."""
    os.environ[SILENT] = "1"
    import numpy  # noqa: F401
    import onnxruntime

    version = str(onnxruntime.__version__)
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise ImportError("onnxruntime {} is older than {}.{}".format(version, *OLDEST))
    return f"onnxruntime {version} (Python {platform.python_version()})"


def session(given: argparse.Namespace) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = given.threads, 1
    options.log_severity_level = 3
    if given.profile:
        options.enable_profiling, options.profile_file_prefix = True, given.profile
    return onnxruntime.InferenceSession(given.model, options, providers=["CPUExecutionProvider"])


def zeros(wanted: Any) -> Any:
    """An array for one input."""
    import numpy

    kind = wanted.type.replace("tensor(", "").rstrip(")")
    return numpy.zeros([size if isinstance(size, int) else 1 for size in wanted.shape], NUMPY.get(kind, kind))


def peak_rss_kb() -> int:
    """The peak of this process alone; getrusage would give the parent's where that was larger."""
    with open("/proc/self/status") as file:  # noqa: PTH123 - one line instead of an import
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))


def main() -> None:
    given = arguments()
    with stage("library"):
        report: dict[str, Any] = {"machine": platform.machine(), "runtime": runtime()}
    if given.model:
        with stage("model"):
            started_ns = time.monotonic_ns()
            loaded = session(given)
            feeds = {each.name: zeros(each) for each in loaded.get_inputs()}
            init_ms = (time.monotonic_ns() - started_ns) * 1e-6
        with stage("run"):
            for _ in range(given.warmup):
                loaded.run(None, feeds)
            runs_ns = []
            for _ in range(given.runs):
                start_ns = time.monotonic_ns()
                loaded.run(None, feeds)
                runs_ns.append([start_ns, time.monotonic_ns() - start_ns])
            if given.profile:
                os.replace(loaded.end_profiling(), given.profile)  # noqa: PTH105 - it adds the time to the name
            report.update(
                threads=given.threads, warmup=given.warmup, runs=given.runs, init_ms=init_ms, peak_rss_kb=peak_rss_kb(),
                runs_ns=runs_ns,
            )  # fmt: skip
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
