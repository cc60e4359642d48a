"""The machine that edge runs on: files run in a process of their own, on one thread."""

from __future__ import annotations

import platform
from pathlib import Path

from edge import plugins, worker
from edge.device import Device, DeviceInfo, TimingPlan
from edge.errors import BadArtifactError, DeviceError
from edge.measurement import Measurement

THREADS = 1


class Host(Device):
    """`host`."""

    def attached(self) -> tuple[DeviceInfo, ...]:
        system = f"{platform.system()} {platform.release()}"
        return (DeviceInfo("host", "host", "ready", platform.node(), _processor(), platform.machine(), system),)

    def time(self, path: Path, plan: TimingPlan, *, log: Path) -> Measurement:
        if self.which:
            raise DeviceError(f"there is only one host, not {self.which!r}", hint="write --device host")
        exporter = plugins.exporter_for(path)
        arguments = {"path": str(path), "warmup": plan.warmup, "runs": plan.runs}
        job = worker.Job(
            "edge.tasks:measure", arguments, log, f"timing {path.name}", BadArtifactError, plan.timeout_s, THREADS
        )
        timed = worker.run(job)
        return Measurement(
            device=f"host ({_processor()})",
            source=exporter.timed_as(),
            runtime=exporter.executed_by(),
            threads=THREADS,
            samples_ms=tuple(timed["samples_ms"]),
            init_ms=timed["init_ms"],
            peak_rss_kb=timed["peak_rss_kb"],
        )


def _processor() -> str:
    """The processor's name, from Linux's own table where there is one."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8", errors="replace").splitlines() if table.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
