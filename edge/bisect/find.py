"""From a file that failed its verification to the operator at fault: what it is compared with, and on which inputs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge import plugins, programs
from edge.bisect.culprit import Culprit
from edge.card import Card
from edge.errors import BadArtifactError, ConversionError
from edge.expected import Expected
from edge.models.sources import Model
from edge.pipeline import ExportOrder, Progress, export
from edge.reference import ModelRequest
from edge.spec import Recipe
from edge.tolerances import TOLERANCES
from edge.verify import OK, Comparison
from edge.worker import Job, run


@dataclass(frozen=True, slots=True)
class Suspect:
    """A file that is not its model, and what is known of both."""

    path: Path
    card: Card
    recipe: Recipe
    request: ModelRequest
    model: Model
    expected: Expected
    comparison: Comparison | None


@dataclass(frozen=True, slots=True)
class Bisection:
    """The first bad operator of a file, if any is; how many operators there are, their bound, and what they were held to."""

    first: Culprit | None
    operators: int
    bound: float
    measure: str


def bisect(suspect: Suspect, *, logs: Path, timeout_s: float, progress: Progress) -> Bisection:
    """Compare with a fresh export of the same model where that is sound, else with the PyTorch program itself.

    Raises `UsageError` for a target that gives no values between its operators.
    """
    bound = TOLERANCES[suspect.card.precision].relative_error
    name = suspect.path.name
    with tempfile.TemporaryDirectory(prefix="edge-bisect-") as scratch:
        folder = Path(scratch)
        few = _few(suspect.expected, suspect.comparison)
        few.save(folder / "probe.npz")
        given = {"path": str(suspect.path), "probe": str(folder / "probe.npz"), "bound": bound}
        worker = _Worker(suspect.path, logs / f"{name}.log", timeout_s)
        fresh = _fresh(suspect, folder, logs, timeout_s, progress)
        if fresh is not None:
            progress(name, "the model exported anew is sound")
            found = worker("bisect_against_file", {**given, "sound": str(fresh)})
            if found["comparable"]:
                return _bisection(found, bound, "a fresh export of the model")
        progress(name, "compared with the PyTorch program")
        np.savez(folder / "answers.npz", *few.outputs)
        program = programs.save(suspect.model, [suspect.recipe], folder)[suspect.recipe]
        arguments = {**given, "program": str(program), "answers": str(folder / "answers.npz")}
        return _bisection(worker("bisect_against_program", arguments), bound, "the PyTorch program")


@dataclass(frozen=True, slots=True)
class _Worker:
    path: Path
    log: Path
    timeout_s: float

    def __call__(self, task: str, arguments: dict[str, Any]) -> dict[str, Any]:
        doing = f"bisecting {self.path.name}"
        found: dict[str, Any] = run(
            Job(f"edge.tasks:{task}", arguments, self.log, doing, BadArtifactError, self.timeout_s)
        )
        return found


def _few(expected: Expected, comparison: Comparison | None) -> Expected:
    """The input on which the file is worst, and one of each kind: see `edge.probe`."""
    count = expected.count
    worst = comparison.worst_input if comparison is not None else 0
    rows = sorted({worst, count // 4, count * 5 // 8, count - 1})
    return Expected(
        tuple(column[rows] for column in expected.outputs),
        None if expected.pictures is None else expected.pictures[rows],
        tuple(column[rows] for column in expected.tensors),
    )


def _fresh(suspect: Suspect, folder: Path, logs: Path, timeout_s: float, progress: Progress) -> Path | None:
    """The model exported again as the card says, from the store where it is there; None when that is wrong too."""
    plugins.require(plugins.exporter(suspect.recipe.exporter))
    request = suspect.request
    if suspect.card.labels and suspect.model.labels != suspect.card.labels:
        labels = folder / "labels.txt"
        labels.write_text("".join(f"{label}\n" for label in suspect.card.labels), encoding="utf-8")
        request = replace(request, labels=labels)
    order = ExportOrder(request, (suspect.recipe,), folder, logs, timeout_s=timeout_s)
    try:
        (made,) = export(order, progress).artifacts
    except ConversionError:
        return None
    return made.path if made.verdict["verdict"] == OK else None


def _bisection(found: dict[str, Any], bound: float, measure: str) -> Bisection:
    first = None if found["first"] is None else Culprit(**found["first"])
    return Bisection(first, found["operators"], bound, measure)
