"""A chip that exists only as a description."""

from __future__ import annotations

from pathlib import Path

from edge import plugins
from edge.device import Device
from edge.device_state import DeviceInfo
from edge.errors import UsageError
from edge.measurement import Measurement, Source
from edge.protocol import TimingPlan
from edge.simulator.chip import chip, names
from edge.simulator.policies import Kind, policy
from edge.simulator.timeline import simulate
from edge.simulator.workload import Workload
from edge.simulator.workloads import from_file, m3vit
from edge.verification import read_card


class Simulated(Device):
    """`simulated:CHIP`: what the chip's description says of a frame of the file's network, without its decoders."""

    def attached(self) -> tuple[DeviceInfo, ...]:
        return tuple(DeviceInfo(f"simulated:{name}", "simulated", "described", name) for name in names())

    def can_run(self, path: Path) -> bool:
        return path.suffix in (".toml", *plugins.suffixes())

    def time(self, path: Path, plan: TimingPlan, *, log: Path) -> Measurement:
        if not self.which:
            raise UsageError("which chip?", hint=f"write {', '.join(f'simulated:{name}' for name in names())}")
        described = chip(self.which)
        workload = _workload(path, log.parent)
        task = workload.task_names[0]
        timeline = simulate(workload, described, policy(described, Kind.EXPERT_REORDER), (task,))
        return Measurement(
            device=f"simulated:{self.which}",
            source=Source.SIMULATED,
            runtime=f"edge simulator, expert-reorder, task {task}, routing {workload.routing(task).origin}",
            threads=1,
            samples_ms=(timeline.latency_ms,) * plan.runs,
            init_ms=0,
            peak_rss_kb=None,
        )


def _workload(path: Path, logs: Path) -> Workload:
    """A workload file, or the network that a file's card names, each token with its k experts. Raises `UsageError`."""
    if path.suffix == ".toml":
        return from_file(path)
    card = read_card(path, logs)
    size = None if card.preprocess is None else (card.preprocess.height, card.preprocess.width)
    return m3vit(card.model, size)
