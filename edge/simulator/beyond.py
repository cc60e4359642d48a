"""What goes beyond the papers, each beside what it is compared with: batches, predictions, urgent tasks, masters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge.simulator.batching import batching
from edge.simulator.chip import Chip
from edge.simulator.masters import service, without_masters
from edge.simulator.policies import Policy
from edge.simulator.prediction import predicting
from edge.simulator.preemption import Boundary
from edge.simulator.schedule import Arrival, nearest_rank
from edge.simulator.timeline import simulate
from edge.simulator.urgent import serve_urgent
from edge.simulator.workload import Workload

ROUNDS = 4
"""Rounds of all tasks in which predictions and masters are watched: masters meet each frame in another phase."""

SHARES = {"p50": 0.5, "p99": 0.99, "worst": 1.0}


@dataclass(frozen=True, slots=True)
class Finding:
    """JSON fields under `name`, and the line that says the same."""

    name: str
    fields: dict[str, Any]
    line: str


def batch_finding(workload: Workload, chip: Chip, policy: Policy, tasks: Sequence[str]) -> Finding:
    """A frame of each of `tasks` as one batch. Raises `UsageError` as `batching` does."""
    found = batching(workload, chip, policy, tasks)
    fields = {
        "tasks": list(found.tasks),
        "apart_ms": found.apart.latency_ms,
        "together_ms": found.together.latency_ms,
        "gain": found.gain,
        "first_frame_delay_ms": chip.milliseconds(found.first_frame_delay),
        "apart_expert_loads": found.apart.loads_of("experts"),
        "together_expert_loads": found.together.loads_of("experts"),
    }
    line = (
        f"{len(tasks)} frames batched take {fields['together_ms']:.3f} ms, apart {fields['apart_ms']:.3f} ms "
        f"({found.gain:.1%} less); expert loads {fields['apart_expert_loads']} → {fields['together_expert_loads']}; "
        f"the first result comes {fields['first_frame_delay_ms']:.3f} ms later"
    )
    return Finding("batch", fields, line)


def prediction_finding(workload: Workload, chip: Chip, policy: Policy, tasks: Sequence[str]) -> Finding:
    """Rounds of `tasks` in which each frame predicts the next. Raises `UsageError` as `predicting` does."""
    found = predicting(workload, chip, policy, (*tasks,) * ROUNDS)
    fields = {
        "gain": found.gain,
        "hits": found.hits,
        "predictions": found.predictions,
        "wasted_bytes": found.wasted_bytes,
    }
    line = (
        f"predicting first experts saves {found.gain:.2%} of a frame; {found.hits} of {found.predictions} hit, "
        f"{found.wasted_bytes:,} bytes wasted"
    )
    return Finding("prediction", fields, line)


def urgent_finding(
    workload: Workload, chip: Chip, policy: Policy, arrivals: Sequence[Arrival], urgent: str, boundary: Boundary
) -> Finding:
    """Waits of the urgent task, and with the chip left only between frames. Raises `UsageError` as `serve_urgent` does."""
    found, between = (serve_urgent(workload, chip, policy, arrivals, urgent, way) for way in (boundary, Boundary.FRAME))
    waits, before = (
        {name: nearest_rank([frame.wait_ms for frame in each.urgent], share) for name, share in SHARES.items()}
        for each in (found, between)
    )
    fields = {
        "task": urgent,
        "boundary": boundary.value,
        "frames": len(found.urgent),
        "wait_ms": waits,
        "wait_ms_between_frames": before,
        "deadline_misses": sum(frame.missed for frame in found.urgent),
        "deadline_misses_between_frames": sum(frame.missed for frame in between.urgent),
        "preemptions": found.cost.preemptions,
        "lost_ms": chip.milliseconds(found.cost.lost_cycles),
        "context_bytes": found.cost.context_bytes,
        "reloaded_bytes": found.cost.reloaded_bytes,
    }
    line = (
        f"urgent {urgent} waits {_of(waits)} (leaving frames at: {boundary}), {_of(before)} between frames; "
        f"{found.cost.preemptions} preemptions cost {fields['lost_ms']:.3f} ms, {found.cost.context_bytes:,} bytes of "
        f"context and {found.cost.reloaded_bytes:,} of weights"
    )
    return Finding("urgent", fields, line)


def _of(waits: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f} ms" for name, value in waits.items())


def masters_finding(workload: Workload, chip: Chip, policy: Policy, tasks: Sequence[str]) -> Finding:
    """The worst of some frames with the masters of `chip` and without, and how each master is served."""
    frames = (*tasks,) * ROUNDS
    busy, free = (simulate(workload, each, policy, frames) for each in (chip, without_masters(chip)))
    worst, before = (chip.milliseconds(max(each.frame_cycles)) for each in (busy, free))
    served = service(chip, busy.cycles)
    fields = {
        "worst_frame_ms": worst,
        "worst_frame_ms_alone": before,
        "masters": [{**asdict(each), "worst_us": chip.milliseconds(each.worst_cycles) * 1000} for each in served],
    }
    masters = "; ".join(f"{each.name}: {each.late} of {each.bursts} bursts late" for each in served)
    line = f"worst frame {worst:.3f} ms beside masters that come first, {before:.3f} ms alone; {masters}"
    return Finding("masters", fields, line)
