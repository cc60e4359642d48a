"""The machine that edge runs on: files run in a process of their own, pinned to as many cores as it may have threads."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

from edge import plugins, worker
from edge.device import Device
from edge.device_state import DeviceInfo, DeviceState
from edge.errors import BadArtifactError, DeviceError, UsageError
from edge.measurement import Measurement
from edge.operator_times import OperatorTime
from edge.protocol import Bench, Round, TimingPlan, timed

CPUS = Path("/sys/devices/system/cpu")
ZONES = Path("/sys/class/thermal")


class Host(Device):
    """`host`."""

    def attached(self) -> tuple[DeviceInfo, ...]:
        system = f"{platform.system()} {platform.release()}"
        return (DeviceInfo("host", "host", "ready", platform.node(), _processor(), platform.machine(), system),)

    def can_run(self, path: Path) -> bool:
        return path.suffix in plugins.suffixes()

    def time(self, path: Path, plan: TimingPlan, *, log: Path) -> Measurement:
        if self.which:
            raise DeviceError(f"there is only one host, not {self.which!r}", hint="write --device host")
        _check_threads(plan.threads)
        exporter = plugins.exporter_for(path)
        result = timed(_HostBench(path, log), plan)
        return Measurement(
            device=f"host ({_processor()})",
            source=exporter.timed_as(),
            runtime=exporter.executed_by(),
            threads=plan.threads,
            samples_ms=result.samples_ms,
            init_ms=result.init_ms,
            peak_rss_kb=result.peak_rss_kb,
            info=self.attached()[0],
            before=result.before,
            during=result.during,
            after=result.after,
        )

    def operators(self, path: Path, plan: TimingPlan, *, log: Path) -> tuple[OperatorTime, ...]:
        _check_threads(plan.threads)
        arguments = {"path": str(path), "warmup": plan.warmup, "runs": plan.runs, "threads": plan.threads}
        found = worker.run(_job("edge.tasks:measure_operators", arguments, path, plan, log))
        return tuple(OperatorTime(**each) for each in found)


@dataclass(frozen=True, slots=True)
class _HostBench(Bench):
    """A file that this machine's own runtimes load."""

    path: Path
    log: Path

    def round(self, plan: TimingPlan) -> Round:
        arguments = {"path": str(self.path), "warmup": plan.warmup, "runs": plan.runs, "threads": plan.threads}
        found = worker.run(_job("edge.tasks:measure", arguments, self.path, plan, self.log))
        return Round(tuple(found["samples_ms"]), found["init_ms"], found["peak_rss_kb"])

    def state(self) -> DeviceState:
        zones = sorted(ZONES.glob("thermal_zone*"))
        celsius = {_text(zone / "type"): _number(zone / "temp") / 1e3 for zone in zones}
        return DeviceState(
            at_s=time.monotonic(),
            clocks_khz=tuple(_number(file) for file in sorted(CPUS.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))),
            temperatures_c={name: value for name, value in celsius.items() if name and value > 0},
        )


def _check_threads(threads: int) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not 1 <= threads <= cores:
        raise UsageError(f"{threads} threads on {cores} cores", hint=f"give --threads 1 to {cores}")


def _job(function: str, arguments: dict[str, object], path: Path, plan: TimingPlan, log: Path) -> worker.Job:
    doing = f"timing {path.name}"
    return worker.Job(function, arguments, log, doing, BadArtifactError, plan.timeout_s, plan.threads)


def _text(file: Path) -> str:
    """A line that the kernel shows, or nothing where it does not."""
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(file: Path) -> int:
    text = _text(file)
    return int(text) if text.lstrip("-").isdigit() else 0


def _processor() -> str:
    """The processor's name, from Linux's own table where there is one."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8", errors="replace").splitlines() if table.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
