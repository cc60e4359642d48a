"""Asks the page one thing of one file: in a process of its own, with a time limit, and with no browser left afterwards."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from devices._browser import chromium, server
from devices._browser.packages import Runtime, bring
from edge import worker
from edge.errors import BadArtifactError, DeviceError, NotExecutableHereError, UsageError
from edge.protocol import TimingPlan

RUNTIMES: Mapping[str, Runtime] = {".onnx": Runtime.ONNXRUNTIME, ".tflite": Runtime.LITERT}
"""Who executes a file, by how its name ends."""
NAMES: Mapping[Runtime, str] = {Runtime.LITERT: "LiteRT.js", Runtime.ONNXRUNTIME: "onnxruntime-web"}
START_WITHIN_S = 60.0
"""What the browser may take to start and to end, beside the page's own time."""
DAMAGED = ("Failed to load model from buffer", "ERROR_CODE: 2,", "ERROR_CODE: 7,", "ERROR_CODE: 10,")
"""What LiteRT.js, and onnxruntime (invalid argument, protobuf and graph), say of a file that is no sound model."""


class Wanted(StrEnum):
    """What the page can do with a file; the names are the page's own."""

    TIMES = "time"
    OUTPUTS = "outputs"
    OPERATORS = "operators"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the page found: `fields` by what was wanted; start-up in ms, and the peak memory of the page's process in kB."""

    fields: Mapping[str, Any]
    init_ms: float
    peak_rss_kb: int
    version: str
    """Of the browser."""


def ask(path: Path, wanted: Wanted, plan: TimingPlan, *, log: Path, inputs: Sequence[bytes] = ()) -> Answer:
    """Show the page, which opens the file at `path` and does what is wanted; `inputs` are the bytes of arrays, for outputs.

    Raises `ToolchainMissingError`, `UsageError`, `BadArtifactError`, `NotExecutableHereError` or `DeviceError`.
    """
    if not path.is_file():
        raise UsageError(f"there is no {path}", hint="give a file that `edge export` wrote")
    if path.suffix not in RUNTIMES:
        raise NotExecutableHereError(f"a browser cannot run {path.name}", hint=f"it runs {' and '.join(RUNTIMES)}")
    runtime = RUNTIMES[path.suffix]
    job = {
        "runtime": runtime,
        "do": wanted,
        "threads": plan.threads,
        "warmup": plan.warmup,
        "runs": plan.runs,
        "inputs": [base64.b64encode(each).decode() for each in inputs],
    }
    browser, files = chromium.required(), bring(runtime)
    with tempfile.TemporaryDirectory(prefix="edge-browser-", ignore_cleanup_errors=True) as folder:
        arguments = {
            "browser": str(browser),
            "folder": folder,
            "page": str(server.PAGE),
            "runtimes": {name: str(file) for name, file in files.items()},
            "model": str(path.resolve()),
            "job": job,
            "within_s": plan.timeout_s,
        }
        try:
            found = worker.run(_work(arguments, path, plan, log))
        finally:
            chromium.end(Path(folder))
    return _checked(found, path, runtime)


def _work(arguments: Mapping[str, Any], path: Path, plan: TimingPlan, log: Path) -> worker.Job:
    doing = f"running {path.name} in the browser"
    within_s = plan.timeout_s + START_WITHIN_S
    return worker.Job("devices._browser.session:show", arguments, log, doing, DeviceError, within_s)


def _checked(found: Mapping[str, Any], path: Path, runtime: Runtime) -> Answer:
    """The answer, unless it is that the page could not do it."""
    if "error" not in found:
        fields = {key: found[key] for key in found.keys() - {"initMs", "peakRssKb", "version", "console"}}
        return Answer(fields, found["initMs"], found["peakRssKb"], found["version"])
    said, hint = next(iter(str(found["error"]).splitlines()), ""), found["console"]
    if found["stage"] == "running":
        raise DeviceError(f"{NAMES[runtime]} in the browser fails on {path.name}: {said}", hint=hint)
    if any(words in said for words in DAMAGED):
        raise BadArtifactError(f"{NAMES[runtime]} in the browser cannot read {path.name}: {said}", hint=hint)
    raise NotExecutableHereError(f"{NAMES[runtime]} in the browser refuses {path.name}: {said}", hint=hint)
