"""The machine that edge runs on: files run in a process of their own, pinned to as many cores as it may have threads."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from devices._here import check_threads, machine_state, processor
from edge import plugins, worker
from edge.device import Device
from edge.device_state import DeviceInfo, DeviceState
from edge.errors import BadArtifactError, DeviceError
from edge.measurement import Measurement
from edge.operator_times import OperatorTime
from edge.protocol import Bench, Round, TimingPlan, timed


class Host(Device):
    """`host`."""

    here = True

    def attached(self) -> tuple[DeviceInfo, ...]:
        system = f"{platform.system()} {platform.release()}"
        return (DeviceInfo("host", "host", "ready", platform.node(), processor(), platform.machine(), system),)

    def can_run(self, path: Path) -> bool:
        return path.suffix in plugins.suffixes()

    def time(self, path: Path, plan: TimingPlan, *, log: Path) -> Measurement:
        if self.which:
            raise DeviceError(f"there is only one host, not {self.which!r}", hint="write --device host")
        check_threads(plan.threads)
        exporter = plugins.exporter_for(path)
        result = timed(_HostBench(path, log), plan)
        return Measurement(
            device=f"host ({processor()})",
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
        check_threads(plan.threads)
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
        return machine_state()


def _job(function: str, arguments: dict[str, object], path: Path, plan: TimingPlan, log: Path) -> worker.Job:
    doing = f"timing {path.name}"
    return worker.Job(function, arguments, log, doing, BadArtifactError, plan.timeout_s, plan.threads)
