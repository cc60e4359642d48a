"""ExecuTorch's executor_runner, for .pte files: it logs every run, and dumps the times of operators if built so."""

from __future__ import annotations

import io
import math
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from devices._runner import Invocation, Program, Runner
from devices._runners.brought import brought
from devices._runners.finished import require_success, rubbish
from edge import worker
from edge.device_state import DeviceInfo
from edge.errors import DeviceError, UsageError
from edge.imports.etdump import operators_of_tsv
from edge.machine import Finished
from edge.operator_times import OperatorTime
from edge.protocol import Round, TimingPlan

HOW = """build it from ExecuTorch's sources, of the release that exported the file:
  cmake -B out -DEXECUTORCH_BUILD_EXECUTOR_RUNNER=ON -DEXECUTORCH_BUILD_XNNPACK=ON -DCMAKE_BUILD_TYPE=Release
  cmake --build out --target executor_runner
(for Android with -DCMAKE_TOOLCHAIN_FILE=$ANDROID_NDK_HOME/build/cmake/android.toolchain.cmake -DANDROID_ABI=arm64-v8a,
for --ops with -DEXECUTORCH_BUILD_DEVTOOLS=ON -DEXECUTORCH_ENABLE_EVENT_TRACER=ON)"""
TRACER = "build it with -DEXECUTORCH_BUILD_DEVTOOLS=ON -DEXECUTORCH_ENABLE_EVENT_TRACER=ON"
ANNOUNCED = 'echo "edge: $1 warm-ups, $2 runs"; shift 2; exec "$@" 2>&1'
"""For `sh`: says how many of the executions are warm-ups, which the runner's log does not know."""
DUMP = "executor_runner.etdp"
READ_WITHIN_S = 120.0

PLAN = re.compile(r"^edge: (\d+) warm-ups, (\d+) runs$", re.MULTILINE)
LOADED = re.compile(r"\bModel loaded in (\S+) ms\.")
ITERATION = re.compile(r"\bIteration (\d+) of (\d+): (\S+) ms")
TOTAL = re.compile(r"\bModel executed successfully (\d+) time\(s\)(?: in (\S+) ms)?")


class ExecutorRunner(Runner):
    """Brought by the user. It does not tell its peak of memory (0), and builds without a line for each run are refused."""

    name = "executor_runner"
    suffix = ".pte"

    def __init__(self, given: Path | None = None) -> None:
        self._given = given

    def program(self, info: DeviceInfo) -> Program:
        return brought(self.name, self._given, info, HOW)

    def invocation(self, folder: PurePosixPath, model: str, plan: TimingPlan) -> Invocation:
        return Invocation((
            *("sh", "-c", ANNOUNCED, "sh", str(plan.warmup), str(plan.runs), str(folder / self.name)),
            *(f"--model_path={folder / model}", f"--num_executions={plan.warmup + plan.runs}"),
            *(f"--cpu_threads={plan.threads}", "--print_output=none"),
        ))  # fmt: skip

    def round(self, finished: Finished, results: Mapping[str, Path]) -> Round:  # noqa: ARG002
        require_success(finished, self.name)
        try:
            return _round(finished.stdout)
        except ValueError as error:
            raise rubbish(self.name, str(error), finished) from error

    def operators_invocation(self, folder: PurePosixPath, model: str, plan: TimingPlan) -> Invocation:
        plain = self.invocation(folder, model, plan)
        return Invocation((*plain.command, f"--etdump_path={folder / DUMP}"), results=(DUMP,))

    def operators(self, finished: Finished, results: Mapping[str, Path]) -> tuple[OperatorTime, ...]:
        """The median over all executions, warm-ups too: the dump does not tell them apart."""
        require_success(finished, self.name)
        dump = results.get(DUMP)
        if dump is None or not dump.is_file() or not dump.stat().st_size:
            raise UsageError(f"this {self.name} writes no times of operators: it has no event tracer", hint=TRACER)
        try:
            return operators_of_tsv(_inspected(dump))
        except UsageError as error:  # not the user's fault here: the device wrote it
            raise DeviceError(f"{self.name}'s dump holds no operators: {error}", hint=TRACER) from error


def tsv_of(dump: str) -> str:
    """What ExecuTorch's own Inspector makes of a dump; for a process of its own, since it imports all of torch."""
    from executorch.devtools import Inspector

    table = io.StringIO()
    Inspector(etdump_path=dump).save_data_to_tsv(table)
    return table.getvalue()


def _inspected(dump: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="edge-") as folder:
        log = Path(folder) / "inspector.log"
        doing = f"reading {dump.name}"
        job = worker.Job(f"{__name__}:tsv_of", {"dump": str(dump)}, log, doing, DeviceError, READ_WITHIN_S)
        return str(worker.run(job))


def _round(log: str) -> Round:
    announced, total = PLAN.findall(log), TOTAL.findall(log)
    if len(announced) != 1 or len(total) != 1:
        raise ValueError("it does not begin and end once")
    warmup, runs = map(int, announced[0])
    executed, total_ms = total[0]
    if int(executed) != warmup + runs:
        raise ValueError(f"it executed {executed} times, not {warmup + runs}")
    iterations = ITERATION.findall(log)
    if not iterations:
        raise _total_only(int(executed), total_ms)
    if [(int(place), int(of)) for place, of, _ in iterations] != [(n + 1, int(executed)) for n in range(int(executed))]:
        raise ValueError("its iterations do not follow each other")
    samples_ms = tuple(_number(ms) for _, _, ms in iterations)
    if total_ms and not math.isclose(sum(samples_ms), _number(total_ms), rel_tol=1e-3, abs_tol=1e-6 * int(executed)):
        raise ValueError(f"its iterations add up to {sum(samples_ms):g} ms, not {total_ms}")
    loaded = LOADED.findall(log)
    if len(loaded) > 1:
        raise ValueError("it loads the file more than once")
    return Round(samples_ms[warmup:], _number(loaded[0]) if loaded else 0.0, None)


def _total_only(executed: int, total_ms: str) -> DeviceError:
    """One mean is no sample: its interval would have no width, and look certain."""
    mean = f" ({_number(total_ms) / executed:g} ms on average, warm-ups included)" if total_ms and executed else ""
    return DeviceError(
        f"this executor_runner is an older build that logs the total of its runs only{mean}, of which there is no interval",
        hint=HOW,
    )


def _number(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and 0 < value < 1e12):
        raise ValueError(f"{text} ms cannot be")
    return value
