"""TFLite's benchmark_model: it prints only a summary of its runs, so it is started anew for every sample."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from devices._runner import Invocation, Program, Runner
from devices._runners.brought import brought
from devices._runners.finished import require_success, rubbish
from edge.device_state import DeviceInfo
from edge.errors import DeviceError, UsageError
from edge.imports.benchmark_model import operators_of_proto, operators_of_text
from edge.machine import Finished
from edge.operator_times import OperatorTime
from edge.protocol import Round, TimingPlan

HOW = "its builders publish it for Android and Linux (TensorFlow Lite, performance measurement), or build //tflite/tools/benchmark"
STARTS = (
    'n=$1; shift; i=0; while [ "$i" -lt "$n" ]; do echo "edge: start $i"; "$@" 2>&1 || exit; i=$((i+1)); done; '
    'echo "edge: $i of $n"'
)
"""For `sh`: the command of the arguments, as often as the first says. It marks every start, and the end."""
EXACTLY = ("--min_secs=0", "--warmup_min_secs=0")
"""A count is a minimum unless the least time is nothing."""
PROFILE = "benchmark_model.profile"

START, END = re.compile(r"^edge: start (\d+)$", re.MULTILINE), re.compile(r"^edge: (\d+) of (\d+)$", re.MULTILINE)
STATISTICS = re.compile(r"^(?:INFO: |I tflite\s*: )?count=(\d+) (?:first=\S+ )?curr=(\S+)", re.MULTILINE)
"""In µs: of the warm-ups, then of the runs. Old builds lack what follows, new ones have percentiles."""
INIT_MS: tuple[tuple[re.Pattern[str], float], ...] = (
    (re.compile(r"Inference timings in us: Init: ([^\s,]+)"), 1e-3),
    (re.compile(r"Model initialization:\s+(\S+) ms"), 1),
    (re.compile(r"Initialized session in (\S+?)ms"), 1),
)
OVERALL_MB = re.compile(
    r"(?:(?:Memory footprint delta from the start of the tool|Peak memory footprint) \(MB\): init=\S+ overall="
    r"|Overall footprint:\s+)(\S+)"
)
MIB_KB = 1024


class BenchmarkModel(Runner):
    """Each sample is one run in a process of its own, after its warm-ups: dearer than our runner, and to 1 µs."""

    name = "benchmark_model"
    suffix = ".tflite"

    def __init__(self, given: Path | None = None) -> None:
        self._given = given

    def program(self, info: DeviceInfo) -> Program:
        return brought(self.name, self._given, info, HOW)

    def invocation(self, folder: PurePosixPath, model: str, plan: TimingPlan) -> Invocation:
        once = (*self._command(folder, model, plan), "--num_runs=1")
        return Invocation(("sh", "-c", STARTS, "sh", str(plan.runs), *once))

    def round(self, finished: Finished, results: Mapping[str, Path]) -> Round:  # noqa: ARG002
        """The memory is what the network added, by the tool's own account; 0 where it does not tell."""
        require_success(finished, self.name)
        try:
            starts = _starts(finished.stdout)
            samples_ms = tuple(_sample_ms(text) for text in starts)
            return Round(samples_ms, _init_ms(starts[0]), _peak_kb(starts))
        except ValueError as error:
            raise rubbish(self.name, str(error), finished) from error

    def operators_invocation(self, folder: PurePosixPath, model: str, plan: TimingPlan) -> Invocation:
        profiling = (
            f"--num_runs={plan.runs}", "--enable_op_profiling=true", "--op_profiling_output_mode=proto",
            f"--op_profiling_output_file={folder / PROFILE}",
        )  # fmt: skip
        return Invocation((*self._command(folder, model, plan), *profiling), results=(PROFILE,))

    def operators(self, finished: Finished, results: Mapping[str, Path]) -> tuple[OperatorTime, ...]:
        """The mean over the runs. Builds that know no proto print the profile."""
        require_success(finished, self.name)
        written = results.get(PROFILE)
        try:
            if written is not None and written.is_file() and written.stat().st_size:
                return operators_of_proto(written.read_bytes())
            return operators_of_text(finished.stdout)
        except UsageError as error:  # not the user's fault here: the device wrote it
            raise DeviceError(f"{self.name} gave no profile: {error}", hint=error.hint) from error

    def _command(self, folder: PurePosixPath, model: str, plan: TimingPlan) -> tuple[str, ...]:
        """At least one warm-up: without, the tool prints one set of statistics less."""
        return (
            str(folder / self.name), f"--graph={folder / model}", f"--num_threads={plan.threads}",
            f"--warmup_runs={max(1, plan.warmup)}", *EXACTLY,
        )  # fmt: skip


def _starts(text: str) -> list[str]:
    """What each start wrote. Raises `ValueError` unless all are there, in order."""
    pieces = START.split(END.split(text)[0])
    places, bodies = pieces[1::2], pieces[2::2]
    end = END.findall(text)
    if len(end) != 1 or not bodies or places != [str(place) for place in range(len(bodies))]:
        raise ValueError("its starts do not follow each other to an end")
    if end[0] != (str(len(bodies)),) * 2:
        raise ValueError(f"{len(bodies)} starts, {' of '.join(end[0])} announced")
    return bodies


def _sample_ms(text: str) -> float:
    found = STATISTICS.findall(text)
    if len(found) != 2:
        raise ValueError(f"a start prints {len(found)} statistics, not those of the warm-ups and of the run")
    count, microseconds = found[1]
    if count != "1":
        raise ValueError(f"it ran {count} times instead of once: a build that knows no --min_secs")
    return _number(microseconds) * 1e-3


def _init_ms(text: str) -> float:
    for pattern, scale in INIT_MS:
        if match := pattern.search(text):
            return _number(match[1]) * scale
    raise ValueError("it prints no time of its initialisation")


def _peak_kb(starts: Sequence[str]) -> int | None:
    """The largest footprint that a start tells of; None where none does."""
    told = [_number(match[1], least=0) for text in starts if (match := OVERALL_MB.search(text)) is not None]
    return round(max(told) * MIB_KB) if told else None


def _number(text: str, least: float = 1e-9) -> float:
    value = float(text)
    if not (math.isfinite(value) and least <= value < 1e15):
        raise ValueError(f"{text} cannot be")
    return value
