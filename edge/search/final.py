"""After a search: the chosen networks, and uniform ones beside them, trained alike, exported, verified and timed whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge import whole
from edge.errors import UsageError
from edge.latency.check import CLOSE
from edge.latency.table import Timed
from edge.models import point
from edge.pipeline import ExportOrder, export
from edge.preprocess import Preprocess
from edge.reference import ModelRequest
from edge.search.budget import Budget
from edge.search.frontier import ranked
from edge.search.latencies import Latencies
from edge.search.story import Finished, Role
from edge.search.trial import Trial
from edge.spec import ModelSpec, Recipe
from edge.training.order import TrainingOrder
from edge.training.recipe import TrainingRecipe
from edge.training.run import Warn, train
from edge.training.watch import Watcher

FINISHED, EXPORTS, TEACHER = "finished.json", "exports", "teacher"
"""What is kept in the search's folder, beside a folder for each network."""
AT_ONCE, MOST = 3, 9
"""Networks that are timed whole together, and at most for one budget: the table is within a few per cent, so one of the first
nearly always keeps the budget, and of close ones it is the device that decides."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A network that is to be trained to the end, and what for."""

    role: Role
    budget: Budget
    trial: Trial

    @property
    def name(self) -> str:
        """Of its run folder: `best-4.0ms`."""
        return f"{self.role}-{self.budget.name}"


@dataclass(frozen=True, slots=True)
class Finishing:
    """How networks are trained and exported: all the same way.

    `preprocess` is how the supernet took its pictures. `weights` gives the file in which a network's training starts, None
    from scratch; it must be the same file every time. `teacher` is the network that the others learn from, after it has
    learned on as they do: as the supernet leaves it, any of them would soon be better than it. `leak_epochs` as in a
    `TrainingOrder`: 0 where the activations of those weights are linear already. `workers` are threads that decode pictures.
    """

    run: Path
    data: str
    recipe: TrainingRecipe
    target: Recipe
    preprocess: Preprocess
    logs: Path
    seed: int = 0
    weights: Callable[[ModelSpec], Path] | None = None
    teacher: ModelSpec | None = None
    leak_epochs: int | None = None
    workers: int = 1

    def order(self, spec: ModelSpec, name: str, teacher: ModelRequest | None) -> TrainingOrder:
        """What `edge train` would be asked for, to train a network into the folder `name`."""
        taken = self.preprocess
        request = ModelRequest(
            point.reference(spec),
            weights=None if self.weights is None else self.weights(spec),
            image_size=(taken.height, taken.width),
            mean=taken.mean,
            std=taken.std,
            seed=self.seed,
        )
        return TrainingOrder(request, self.data, self.run / name, self.recipe, self.leak_epochs, teacher, self.workers)


def chosen(trials: Iterable[Trial], budget: Budget, latencies: Latencies) -> Trial | None:
    """The best network that was tried and keeps the budget when it is timed whole; None if of the first few none does."""
    return _first_within(ranked(trials, budget), budget, latencies)


def largest_uniform(trials: Iterable[Trial], budget: Budget, latencies: Latencies) -> Trial | None:
    """Of uniform networks the one that takes the most time within the budget, timed whole.

    The table may say too much of one, so those that it puts just above the budget are timed as well.
    """
    near = replace(budget, ms=budget.ms * (1 + CLOSE))
    return _first_within(sorted(filter(near.fits, trials), key=lambda trial: -trial.predicted_ms), budget, latencies)


def _first_within(candidates: Sequence[Trial], budget: Budget, latencies: Latencies) -> Trial | None:
    for start in range(0, min(MOST, len(candidates)), AT_ONCE):
        some = candidates[start : start + AT_ONCE]
        times = latencies.measure_ms([trial.spec for trial in some])
        for trial, ms in zip(some, times, strict=True):
            if ms <= budget.ms:
                return trial
    return None


def finish(
    picks: Sequence[Pick], how: Finishing, latencies: Latencies, watcher: Watcher, warn: Warn
) -> tuple[Finished, ...]:
    """Train, export and verify every pick, then time all files in turns. Begun again, it goes on where it was.

    A network that was picked twice is trained and timed once. Raises what training, exporters and devices raise.
    """
    known = _read(how.run / FINISHED)
    if [(each.name, each.spec) for each in known] == [(pick.name, pick.trial.spec) for pick in picks]:
        return known
    teacher = _taught(how, watcher, warn)
    firsts = {pick.trial.spec: pick for pick in reversed(picks)}
    accuracies = {
        spec: _trained(how.order(spec, firsts[spec].name, teacher), watcher, warn)
        for spec in dict.fromkeys(pick.trial.spec for pick in picks)
    }
    exported = {spec: _exported(how.run / firsts[spec].name, how) for spec in accuracies}
    times = latencies.measure_files({spec: file for spec, (file, _) in exported.items()})
    for pick in picks:
        if not (how.run / pick.name).exists():
            whole.copy(how.run / firsts[pick.trial.spec].name, how.run / pick.name)
    found = tuple(
        _finished(pick, times[pick.trial.spec], accuracies[pick.trial.spec], exported[pick.trial.spec][1])
        for pick in picks
    )
    _write(how.run / FINISHED, found, {firsts[spec].name: timed for spec, timed in times.items()})
    return found


def _taught(how: Finishing, watcher: Watcher, warn: Warn) -> ModelRequest | None:
    """The teacher, once it has learned itself."""
    if how.teacher is None:
        return None
    _trained(how.order(how.teacher, TEACHER, None), watcher, warn)
    return ModelRequest(str(how.run / TEACHER))


def _trained(order: TrainingOrder, watcher: Watcher, warn: Warn) -> float:
    """The share of held-out pictures that the trained network answers right."""
    last = train(order, watcher, warn).history[-1]
    if last.accuracy is None:
        raise UsageError(f"{order.data} has no classes", hint="a search takes labelled pictures")
    return last.accuracy


def _exported(folder: Path, how: Finishing) -> tuple[Path, str]:
    """The file of a trained network, and how it answers beside PyTorch."""
    order = ExportOrder(ModelRequest(str(folder)), (how.target,), how.run / EXPORTS, how.logs, force=True)
    (artifact,) = export(order, lambda *_: None).artifacts
    return artifact.path, str(artifact.verdict["verdict"])


def _finished(pick: Pick, timed: Timed, accuracy: float, verdict: str) -> Finished:
    trial = pick.trial
    return Finished(
        name=pick.name,
        role=pick.role,
        budget_ms=pick.budget.ms,
        spec=trial.spec,
        predicted_ms=trial.predicted_ms,
        measured_ms=timed.ms,
        source=timed.source,
        accuracy=accuracy,
        params=trial.params,
        macs=trial.macs,
        path=pick.name,
        verdict=verdict,
    )


def _write(path: Path, found: Sequence[Finished], times: Mapping[str, Timed]) -> None:
    """Keep the numbers with every sample behind them."""
    samples = {name: {"at": timed.at, "samples_ms": timed.samples_ms["network"]} for name, timed in times.items()}
    document = {"finished": [each.fields() for each in found], "samples": samples}
    whole.write_text(path, json.dumps(document, indent=2) + "\n")


def _read(path: Path) -> tuple[Finished, ...]:
    if not path.exists():
        return ()
    try:
        return tuple(map(Finished.from_fields, json.loads(path.read_text(encoding="utf-8"))["finished"]))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}", hint="remove it to export and measure again") from None
