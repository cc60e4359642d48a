"""Runs one function in a process of its own, so that a vendor's crash, hang or chatter stays there."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import BY_NAME, EdgeError

TAIL_LINES = 6
_RUNNING: set[subprocess.Popen[bytes]] = set()


@dataclass(frozen=True, slots=True)
class Job:
    """A function of `edge.tasks`, its arguments as JSON data, and what bounds it.

    `failure` is the error raised when the process dies, hangs past `timeout_s`, or raises something of its own.
    """

    function: str
    arguments: Mapping[str, Any]
    log: Path
    doing: str
    failure: type[EdgeError]
    timeout_s: float = 1800
    threads: int = 1


def run(job: Job) -> Any:
    """Run `job` in a fresh process and return what its function returned (JSON data)."""
    with tempfile.TemporaryDirectory(prefix="edge-") as folder:
        answer = Path(folder) / "answer.json"
        request = json.dumps({"function": job.function, "arguments": dict(job.arguments), "answer": str(answer)})
        code = _run_process(request, job)
        if answer.exists():
            return _result(json.loads(answer.read_text(encoding="utf-8")), job)
    if code is None:
        raise job.failure(
            f"{job.doing} took longer than {job.timeout_s:g} s and was stopped",
            hint="allow more with --timeout SECONDS",
        )
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    raise job.failure(f"{job.doing} crashed ({name})", hint=tail(job.log))


def tail(log: Path) -> str:
    """Where the log is, and its last lines."""
    lines = (
        [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        if log.exists()
        else []
    )
    return "\n".join((f"log: {log}", *(f"  | {line[:200]}" for line in lines[-TAIL_LINES:])))


def _run_process(request: str, job: Job) -> int | None:
    """The exit code (negative: a signal), or None when the time limit was reached."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(job.threads),
        "OMP_WAIT_POLICY": "PASSIVE",  # workers run side by side: a thread that waits must not spin
        "PYTHONHASHSEED": "0",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime's wheels for Linux report home since 1.29
    }
    with job.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "edge.worker"], stdin=subprocess.PIPE, stdout=log, stderr=log,
            env=environment, start_new_session=True,
        )  # fmt: skip
        _RUNNING.add(process)
        try:
            process.communicate(request.encode(), timeout=job.timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _stop(process)
            _RUNNING.discard(process)
    return process.returncode


def stop_all() -> None:
    """End every worker process that is still running: after an error, or Ctrl-C."""
    for process in tuple(_RUNNING):
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _result(answer: Mapping[str, Any], job: Job) -> Any:
    if "value" in answer:
        return answer["value"]
    kind = BY_NAME.get(answer["kind"])
    if kind is not None:
        raise kind(answer["message"], hint=answer["hint"])
    raise job.failure(f"{job.doing} failed: {answer['message']}", hint=tail(job.log))


def main() -> None:
    """The child's side: read a request from standard input, answer into the file it names."""
    request = json.loads(sys.stdin.read())
    module, _, name = request["function"].partition(":")
    try:
        answer = {"value": getattr(importlib.import_module(module), name)(**request["arguments"])}
    except EdgeError as error:
        answer = {"kind": type(error).__name__, "message": str(error), "hint": error.hint}
    except Exception as error:  # anything a vendor raises: the traceback goes to the log, one line to the parent
        traceback.print_exc()
        answer = {"kind": "", "message": f"{type(error).__name__}: {_first_line(error)}", "hint": ""}
    partial = Path(request["answer"] + ".part")
    partial.write_text(json.dumps(answer), encoding="utf-8")
    partial.replace(request["answer"])
    sys.stdout.flush()
    os._exit(0)  # a vendor's destructors have no say in whether the work was done


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")


if __name__ == "__main__":
    main()
