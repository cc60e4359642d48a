"""A network of all tasks against networks of one task each: by how much each task got better, and Δm, their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge import runfolder
from edge.dense.metrics import DeltaM, delta_m
from edge.errors import UsageError
from edge.training.record import EpochMetrics, Record
from edge.training.score import TaskMetric

OWN = ("model", "model_sha256")
"""The settings in which the runs that are compared may differ; recipe, data and seed must be the same."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The last epoch's metrics of each task, of the network of all and of those of one; `change` as in `DeltaM`."""

    multi: dict[str, TaskMetric]
    single: dict[str, TaskMetric]
    change: DeltaM

    @property
    def better(self) -> tuple[str, ...]:
        """The tasks that the network of all does better than the network of that task alone."""
        return tuple(task for task, change in self.change.by_task.items() if change > 0)


def compared(multi: Path, singles: Sequence[Path]) -> Comparison:
    """Compare finished runs. Raises `UsageError` for runs that are not alike but for their tasks, and for tasks without a run."""
    for single in singles:
        _require_alike(multi, single)
    whole = _last(multi)
    alone: dict[str, TaskMetric] = {}
    for single in singles:
        found = _last(single)
        if len(found) != 1:
            raise UsageError(
                f"{single} was trained for {len(found)} tasks",
                hint="a single-task run is of a network such as m3vit_tiny_seg",
            )
        alone |= found
    if strange := sorted(whole.keys() ^ alone.keys()):
        raise UsageError(
            f"the runs do not have the same tasks: {', '.join(strange)} is in one only",
            hint="give the run of all tasks, and one run for each of them",
        )
    single_values = {task: _value(alone[task], task) for task in whole}
    multi_values = {task: _value(metric, task) for task, metric in whole.items()}
    higher = {task: metric.higher_is_better for task, metric in whole.items()}
    return Comparison(whole, {task: alone[task] for task in whole}, delta_m(multi_values, single_values, higher))


def _last(run: Path) -> dict[str, TaskMetric]:
    if not (run / runfolder.RECORD).is_file():
        raise UsageError(f"{run} is not a finished run", hint="run its `edge train` command to the end")
    history: tuple[EpochMetrics, ...] = Record(run).metrics()
    if not history[-1].metrics:
        raise UsageError(f"{run} has no metrics per task", hint="give runs of edge train --data scenes")
    return dict(history[-1].metrics)


def _value(metric: TaskMetric, task: str) -> float:
    if metric.value is None:
        raise UsageError(f"{metric.name} of {task} is unknown", hint="hold out scenes in which it can be measured")
    return metric.value


def _require_alike(multi: Path, single: Path) -> None:
    one, other = Record(multi).settings(), Record(single).settings()
    for name in sorted({*one, *other} - {*OWN}):
        if one.get(name) != other.get(name):
            raise UsageError(
                f"{name.replace('_', ' ')} is {one.get(name)} in {multi} and {other.get(name)} in {single}",
                hint="compare runs of the same recipe, data and seed",
            )
