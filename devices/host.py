"""The machine that edge runs on: files run in a process of their own, pinned to as many cores as it may have threads."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devices import _here_runner
from devices._here import check_threads, machine_state, processor
from devices._runners.litert import Litert
from edge import plugins, worker
from edge.device import Device
from edge.device_state import DeviceInfo, DeviceState
from edge.errors import BadArtifactError, DeviceError
from edge.measurement import Measurement
from edge.operator_times import OperatorTime
from edge.protocol import Bench, Round, Timed, TimingPlan, timed

TELLING = {Litert.suffix: Litert}
"""Runners that tell the times of operators, for files whose runtime in Python does not; by the files' suffix."""


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
        bench = _HostBench(path, log)
        return self._measurement(path, plan, timed(bench, plan), bench.precisions)

    def time_in_turns(
        self, paths: Sequence[Path], plan: TimingPlan, *, passes: int, log: Path
    ) -> tuple[tuple[Measurement, ...], ...]:
        """All files in one process: starting one for each would take longer than timing it."""
        check_threads(plan.threads)
        arguments = {
            "paths": [str(path) for path in paths], "warmup": plan.warmup, "runs": plan.runs, "passes": passes,
            "threads": plan.threads, "pass_s": plan.budget_s,
        }  # fmt: skip
        found = worker.run(_job("edge.tasks:measure_in_turns", arguments, f"{len(paths)} files", plan, log))
        return tuple(
            tuple(
                self._measurement(
                    path,
                    plan,
                    Timed(tuple(samples), file["init_ms"], found["peak_rss_kb"], None, (), None),
                    (file["precision"],),
                )
                for samples in file["passes"]
            )
            for path, file in zip(paths, found["files"], strict=True)
        )

    def operators(self, path: Path, plan: TimingPlan, *, log: Path) -> tuple[OperatorTime, ...]:
        check_threads(plan.threads)
        if path.suffix in TELLING:
            return _here_runner.operators(TELLING[path.suffix](), path, self.attached()[0], plan, log)
        arguments = {"path": str(path), "warmup": plan.warmup, "runs": plan.runs, "threads": plan.threads}
        found = worker.run(_job("edge.tasks:measure_operators", arguments, path.name, plan, log))
        return tuple(OperatorTime(**each) for each in found)

    def _measurement(self, path: Path, plan: TimingPlan, found: Timed, precisions: Sequence[str]) -> Measurement:
        """`precisions` are those that loading the file once or more found in it."""
        exporter = plugins.exporter_for(path)
        return found.measurement(
            device=f"host ({processor()})",
            source=exporter.timed_as(),
            runtime=exporter.executed_by(),
            threads=plan.threads,
            precision=precisions[0],
            info=self.attached()[0],
        )


@dataclass(frozen=True, slots=True)
class _HostBench(Bench):
    """A file that this machine's own runtimes load; `precisions` are those that the rounds found in it."""

    path: Path
    log: Path
    precisions: list[str] = field(default_factory=list)

    def round(self, plan: TimingPlan) -> Round:
        arguments = {"path": str(self.path), "warmup": plan.warmup, "runs": plan.runs, "threads": plan.threads}
        found = worker.run(_job("edge.tasks:measure", arguments, self.path.name, plan, self.log))
        self.precisions.append(found["precision"])
        return Round(tuple(found["samples_ms"]), found["init_ms"], found["peak_rss_kb"])

    def state(self) -> DeviceState:
        return machine_state()


def _job(function: str, arguments: dict[str, object], what: str, plan: TimingPlan, log: Path) -> worker.Job:
    return worker.Job(function, arguments, log, f"timing {what}", BadArtifactError, plan.timeout_s, plan.threads)
