"""Our own runner over LiteRT's C API, for .tflite files: it reports every run."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from devices._runner import Invocation, Program, Runner
from devices._runners import native, runtime
from devices._runners.report import LONGEST_NS, Failures, Report, read, round_of
from devices._runners.target import target_of
from edge.device_state import DeviceInfo
from edge.errors import BadArtifactError, DeviceError, InternalError, ToolchainMissingError
from edge.machine import Finished
from edge.operator_times import OperatorTime
from edge.protocol import Round, TimingPlan

VERSION = "VERSION"
RUNTIME = "LiteRT"
FAILURES: Failures = {
    "arguments": (InternalError, "the runner and its adapter are not of one release: remove it from the cache"),
    "library": (
        ToolchainMissingError,
        "the device's system may be too old for the library, or the library for another one",
    ),
    "model": (BadArtifactError, "does it load on this machine? Ask `edge run`"),
    "run": (DeviceError, "is the device short of memory?"),
}
"""What the runner could not do, by the stage that it names, and what may help."""
BY_RUNTIME, BY_DELEGATE = 2, 8
"""Kinds of profiled events: an operator that LiteRT ran itself, and one that XNNPACK ran in its place."""


class Litert(Runner):
    """`edge_runner`, built for the device; or from the user's folder of `edge_runner`, `libLiteRt.so` and `VERSION`."""

    name = "litert"
    suffix = ".tflite"

    def __init__(self, given: Path | None = None) -> None:
        self._given = given

    def program(self, info: DeviceInfo) -> Program:
        if self._given is not None:
            return _of_folder(self._given)
        target = target_of(info)
        library = runtime.runtime(target)
        return _program(native.built(target), library.path, library.version)

    def invocation(self, folder: PurePosixPath, model: str, plan: TimingPlan) -> Invocation:
        return Invocation((
            *(str(folder / native.NAME), "--model", str(folder / model), "--library", str(folder / runtime.LIBRARY)),
            *("--runs", str(plan.runs), "--warmup", str(plan.warmup), "--threads", str(plan.threads)),
        ))  # fmt: skip

    def round(self, finished: Finished, results: Mapping[str, Path]) -> Round:  # noqa: ARG002
        return read(finished, RUNTIME, FAILURES, round_of)

    def operators_invocation(self, folder: PurePosixPath, model: str, plan: TimingPlan) -> Invocation:
        plain = self.invocation(folder, model, plan)
        return Invocation((*plain.command, "--operators"))

    def operators(self, finished: Finished, results: Mapping[str, Path]) -> tuple[OperatorTime, ...]:  # noqa: ARG002
        """The median over the runs, each known to 1 µs: operators far below that have 0."""
        return read(finished, RUNTIME, FAILURES, _operators)


def _of_folder(folder: Path) -> Program:
    runner, library, version = folder / native.NAME, folder / runtime.LIBRARY, folder / VERSION
    absent = [file.name for file in (runner, library, version) if not file.is_file()]
    if absent:
        raise ToolchainMissingError(
            f"{folder} has no {' and no '.join(absent)}",
            hint=f"it must hold {native.NAME} (built from {native.SOURCE}), {runtime.LIBRARY} of LiteRT {runtime.RELEASE} "
            f"and a text file {VERSION} with that library's version",
        )
    return _program(runner, library, version.read_text(encoding="utf-8").strip())


def _program(runner: Path, library: Path, version: str) -> Program:
    if not version.startswith(f"{runtime.RELEASE}."):
        raise ToolchainMissingError(
            f"{library} is LiteRT {version}; our runner knows {runtime.RELEASE}", hint="take a library of that release"
        )
    return Program(((runner, native.NAME), (library, runtime.LIBRARY)), f"ai-edge-litert {version} (C API)")


def _operators(report: Report) -> tuple[OperatorTime, ...]:
    runs = report["operators"]
    if not isinstance(runs, list) or len(runs) != report["runs"] or not runs:
        raise ValueError("the operators of another number of runs")
    heads = [tuple((str(tag), kind) for tag, kind, _, _ in run) for run in runs]
    if any(head != heads[0] for head in heads):
        raise ValueError("the operators differ from run to run")
    return tuple(
        OperatorTime(f"{tag} {place}", tag, _median_ms(run[place][3] for run in runs), _delegate(tag, kind))
        for place, (tag, kind) in enumerate(heads[0])
        if kind in (BY_RUNTIME, BY_DELEGATE)
    )


def _delegate(tag: str, kind: int) -> str:
    """Who ran it: XNNPACK reports its operators itself; a delegate that does not is one operator with its own name."""
    if kind == BY_DELEGATE:
        return "XNNPACK"
    return tag if "Delegate" in tag else ""


def _median_ms(microseconds: Sequence[Any] | Any) -> float:
    values = list(microseconds)
    if any(type(value) is not int or not 0 <= value < LONGEST_NS for value in values):
        raise ValueError("an operator's time is not a whole number of µs")
    return statistics.median(values) * 1e-3
