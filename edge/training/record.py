"""What a run writes while it trains: its settings, its metrics, and a checkpoint that survives a kill at any moment."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

import torch

from edge import runfolder, whole
from edge.errors import UsageError, WeightsError
from edge.training.score import TaskMetric

SETTINGS = "settings.json"
METRICS = "metrics.jsonl"
CHECKPOINT = "checkpoint.pt"
PARTIAL = ".partial"
"""The end of the name of a file that is still being written; a killed run leaves at most one of each."""

Settings = Mapping[str, str | int | float | None]


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """One epoch, counted from 1: the mean training loss, and how the average answers held-out pictures, as in a `Score`."""

    epoch: int
    train_loss: float
    accuracy: float | None
    lr: float
    seconds: float
    metrics: Mapping[str, TaskMetric] = field(default_factory=dict)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Build from plain data; runs of earlier versions have no metrics per task. Raises `TypeError`, `ValueError`."""
        found = dict(fields.get("metrics", {}))
        return cls(**{**fields, "metrics": {task: TaskMetric.from_fields(each) for task, each in found.items()}})

    @property
    def words(self) -> str:
        """The metric of each task, or the accuracy where there are no tasks."""
        if self.metrics:
            return ", ".join(f"{task} {metric.words}" for task, metric in self.metrics.items())
        return "accuracy unknown" if self.accuracy is None else f"accuracy {self.accuracy:.2%}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that the next epoch depends on; `states` are state dicts by name. Random draws depend on seed and epoch."""

    history: tuple[EpochMetrics, ...]
    states: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """The folder of a run that is being trained."""

    folder: Path

    def claim(self, settings: Settings) -> None:
        """Make the folder, or take up the run in it. Raises `UsageError` when it holds something else.

        A run that never ended its first epoch has nothing to lose, so its settings are replaced.
        """
        path = self.folder / SETTINGS
        if path.exists() and any((self.folder / name).exists() for name in (CHECKPOINT, METRICS)):
            return self._require(settings, _settings(path))
        if not path.exists() and self.folder.exists() and (not self.folder.is_dir() or self._has_files()):
            raise UsageError(f"{self.folder} exists and is not a training run", hint="give another --out")
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
        return _replace(path, lambda file: file.write(text.encode()))

    def settings(self) -> Settings:
        """What the run was trained with. Raises `UsageError` when there is no run here."""
        path = self.folder / SETTINGS
        if not path.is_file():
            raise UsageError(f"{self.folder} is not a training run", hint="give a folder that edge train wrote")
        return _settings(path)

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint, then the metrics, each whole: a kill between the two loses nothing."""
        content = {"history": [asdict(metrics) for metrics in checkpoint.history], "states": dict(checkpoint.states)}
        _replace(self.folder / CHECKPOINT, lambda file: torch.save(content, file))
        self.write_metrics(checkpoint.history)

    def checkpoint(self) -> Checkpoint | None:
        """The last complete checkpoint. Raises `WeightsError` when it is damaged."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            return None
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            history = tuple(EpochMetrics.from_fields(metrics) for metrics in content["history"])
            return Checkpoint(history, dict(content["states"]))
        except (
            RuntimeError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            EOFError,
            pickle.UnpicklingError,
        ) as error:
            reason = str(error).partition("\n")[0]
            raise WeightsError(f"{path} cannot be read: {reason}", hint="remove it to train from the start") from None

    def metrics(self) -> tuple[EpochMetrics, ...]:
        """The epochs of a finished run. Raises `UsageError` when the file was changed by hand."""
        path = self.folder / METRICS
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            history = tuple(EpochMetrics.from_fields(json.loads(line)) for line in lines)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UsageError(f"{path} cannot be read: {error}", hint="give another --out") from None
        if not history:
            raise UsageError(f"{path} is empty", hint="give another --out")
        return history

    def write_metrics(self, history: tuple[EpochMetrics, ...]) -> None:
        """Replace the metrics, whole: one line per epoch."""
        lines = "".join(json.dumps(asdict(metrics)) + "\n" for metrics in history)
        _replace(self.folder / METRICS, lambda file: file.write(lines.encode()))

    def sweep(self) -> None:
        """Remove what a finished run does not need, and what killed ones left half written."""
        for leftover in (CHECKPOINT, *(name + PARTIAL for name in (SETTINGS, METRICS, CHECKPOINT))):
            (self.folder / leftover).unlink(missing_ok=True)
        for name in (runfolder.WEIGHTS, runfolder.RECORD):
            for staging in whole.leftovers(self.folder / name):
                shutil.rmtree(staging, ignore_errors=True)

    def _has_files(self) -> bool:
        """Whether there is more than a run leaves that was killed while it wrote its settings."""
        return any(each.name != SETTINGS + PARTIAL for each in self.folder.iterdir())

    def _require(self, settings: Settings, found: Settings) -> None:
        for name in (*settings, *found):
            asked, trained = settings.get(name), found.get(name)
            if asked != trained:
                raise UsageError(
                    f"{self.folder} holds a run whose {name.replace('_', ' ')} is {trained}, not {asked}",
                    hint="give another --out, or the settings of that run",
                )


def _settings(path: Path) -> Settings:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} cannot be read: {error}", hint="give another --out") from None
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds no settings", hint="give another --out")
    return found


def _replace(path: Path, write: Callable[[BinaryIO], object]) -> None:
    partial = path.with_name(path.name + PARTIAL)
    with partial.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
