"""A browser on this machine: a page runs TFLite files with LiteRT.js and ONNX files with onnxruntime-web, on WASM threads."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from pathlib import Path

from devices._browser import chromium
from devices._browser.ask import NAMES, RUNTIMES, Answer, Wanted, ask
from devices._browser.packages import Runtime, locked
from devices._here import check_threads, machine_state, processor
from edge.device import Device
from edge.device_state import DeviceInfo, DeviceState
from edge.errors import DeviceError, UsageError
from edge.measurement import Measurement, Source
from edge.onnx_profile import operator_times
from edge.operator_times import OperatorTime
from edge.protocol import Bench, Round, TimingPlan, timed
from edge.toolchain import installed_version


class Browser(Device):
    """`browser`: Chromium without a window.

    Start-up is from the page's asking for the runtime to the model's being ready, both fetched from this machine. A run
    is from the input arrays, all zeros, to the output arrays, as on the host. After the plan's warm-up runs come more, 2 s
    at least, until the browser has compiled the runtime for speed; a plan without warm-up gets none. Nothing is pinned:
    the browser's own processes need a core too.
    """

    here = True

    def attached(self) -> tuple[DeviceInfo, ...]:
        path = chromium.found()
        if path is None:
            return ()
        state = "ready" if installed_version("playwright") else "needs playwright"
        return (_info(state, chromium.version(path)),)

    def can_run(self, path: Path) -> bool:
        return path.suffix in RUNTIMES

    def time(self, path: Path, plan: TimingPlan, *, log: Path) -> Measurement:
        self._check(plan)
        bench = _Bench(path, log)
        result = timed(bench, plan)
        version = bench.answers[0].version
        return result.measurement(
            device=f"browser (Chromium {version}, {processor()})",
            source=Source.MEASURED,
            runtime=_runtime(RUNTIMES[path.suffix], bench.answers),
            threads=plan.threads,
            info=_info("ready", f"Chromium {version}"),
        )

    def operators(self, path: Path, plan: TimingPlan, *, log: Path) -> tuple[OperatorTime, ...]:
        """As onnxruntime's own profile has them, by the page's clock: operators of a few µs are a step of it, or none."""
        self._check(plan)
        if RUNTIMES.get(path.suffix) is Runtime.LITERT:
            raise UsageError(
                f"LiteRT.js does not tell the times of the operators of {path.name}",
                hint="profile the same model exported with --target onnx, on the host, or without --ops",
            )
        answer = ask(path, Wanted.OPERATORS, plan, log=log)
        try:
            return operator_times(str(answer.fields["profile"]), plan.warmup)
        except ValueError as error:
            raise DeviceError(
                f"onnxruntime-web printed a profile that cannot be read: {error}", hint="profile on the host"
            ) from None

    def _check(self, plan: TimingPlan) -> None:
        if self.which:
            raise DeviceError(
                f"there is no choice of browsers, so none is {self.which!r}",
                hint=f"write --device browser, and name another Chromium in {chromium.CHOSEN}",
            )
        check_threads(plan.threads)


@dataclass(frozen=True, slots=True)
class _Bench(Bench):
    """A file for the page, which is shown anew for each round; `answers` are those of the rounds."""

    path: Path
    log: Path
    answers: list[Answer] = field(default_factory=list)

    def round(self, plan: TimingPlan) -> Round:
        answer = ask(self.path, Wanted.TIMES, plan, log=self.log)
        self.answers.append(answer)
        return Round(tuple(map(float, answer.fields["samplesMs"])), answer.init_ms, answer.peak_rss_kb)

    def state(self) -> DeviceState:
        return machine_state()


def _info(state: str, version: str) -> DeviceInfo:
    system = f"{platform.system()} {platform.release()}"
    return DeviceInfo("browser", "browser", state, version, processor(), platform.machine(), system)


def _runtime(runtime: Runtime, answers: list[Answer]) -> str:
    """The runtime's name and version, and how many runs a sample is the mean of, where the clock is too coarse for one."""
    named = f"{NAMES[runtime]} {locked(runtime)[0].version}"
    most = max(int(answer.fields["runsPerSample"]) for answer in answers)
    return named if most == 1 else f"{named}, a sample is the mean of up to {most} runs"
