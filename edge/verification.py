"""Files against the model they were made from, or against a model that the user names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import plugins, runfolder, worker
from edge.card import Card
from edge.check import check
from edge.errors import BadArtifactError, UsageError
from edge.export_folder import RECORD, recorded_files, recorded_request
from edge.numerics import OperatorNumerics
from edge.reference import Kind, ModelRequest
from edge.spec import Recipe
from edge.verify import FAILED, Verdict

if TYPE_CHECKING:
    from edge.bisect.find import Bisection
    from edge.expected import Expected
    from edge.models.sources import Model

DESCRIBE_TIMEOUT_S = 120.0


def read_card(path: Path, logs: Path) -> Card:
    """The card inside a file, read in a process of its own. Raises `BadArtifactError`."""
    return Card.from_json(describe(path, logs)["card"])


def describe(path: Path, logs: Path) -> dict[str, Any]:
    """The card (JSON text) and contents of a file, read in a process of its own. Raises `BadArtifactError`."""
    job = worker.Job(
        "edge.tasks:describe",
        {"path": str(path)},
        logs / f"{path.name}.log",
        f"reading {path.name}",
        BadArtifactError,
        DESCRIBE_TIMEOUT_S,
    )
    found: dict[str, Any] = worker.run(job)
    return found


def float16_costs(path: Path, logs: Path, lost_bits: float) -> dict[str, Any]:
    """What float16 would cost each operator of a file, and the names of those that suffer or lose more than `lost_bits`.

    Raises `BadArtifactError`, and `UsageError` for a target whose runtime does not show it.
    """
    doing = f"computing {path.name} in float16"
    job = worker.Job("edge.tasks:numerics", {"path": str(path)}, logs / f"{path.name}.log", doing, BadArtifactError)
    found = worker.run(job)
    operators = [OperatorNumerics(**fields).fields(lost_bits) for fields in found["operators"]]
    flagged = [each["name"] for each in operators if each["why"]]
    return {"inputs": found["inputs"], "lost_bits": lost_bits, "flagged": flagged, "operators": operators}


def verify_files(
    path: Path,
    against: ModelRequest | None,
    images: Path | None,
    *,
    logs: Path,
    timeout_s: float,
    progress: Callable[[str, str], None],
) -> list[tuple[Path, Verdict]]:
    """Verify one file, or every file that a folder's `edge.json` lists. Raises `BadArtifactError`, `UsageError`."""
    if not path.exists():
        raise UsageError(f"there is no {path}", hint="give a file or folder that `edge export` wrote")
    files = recorded_files(path) if (path / RECORD).exists() or (path.is_dir() and not path.suffix) else (path,)
    if not files:
        raise BadArtifactError(f"{path} lists no files", hint="export the model again")
    cards = {file: read_card(file, logs) for file in files}
    measure = _measure(files[0], cards[files[0]], against, images, progress)
    results = []
    for file in files:
        results.append((file, check(file, measure.expected, log=logs / f"{file.name}.log", timeout_s=timeout_s)))
        progress(file.name, results[-1][1].verdict)
    return results


def verify_and_bisect(
    path: Path,
    against: ModelRequest | None,
    images: Path | None,
    *,
    logs: Path,
    timeout_s: float,
    progress: Callable[[str, str], None],
) -> tuple[Verdict, Bisection | None]:
    """Verify one file, and find its first bad operator if it fails. Raises `BadArtifactError`, `UsageError`."""
    if (path / RECORD).exists():
        names = ", ".join(file.name for file in recorded_files(path))
        raise UsageError("--bisect takes one file, not a folder", hint=f"it holds {names}")
    plugins.exporter_for(path)
    described = describe(path, logs)
    card = Card.from_json(described["card"])
    measure = _measure(path, card, against, images, progress)
    verdict = check(path, measure.expected, log=logs / f"{path.name}.log", timeout_s=timeout_s)
    progress(path.name, verdict.verdict)
    if verdict.verdict != FAILED:
        return verdict, None

    from edge.bisect.find import Suspect, bisect

    recipe = Recipe.from_fields(described["recipe"])
    suspect = Suspect(path, card, recipe, measure.request, measure.model, measure.expected, verdict.comparison)
    return verdict, bisect(suspect, logs=logs, timeout_s=timeout_s, progress=progress)


@dataclass(frozen=True, slots=True)
class _Measure:
    """What files are held to: the model, as it was asked for, and its answers."""

    request: ModelRequest
    model: Model
    expected: Expected


def _measure(
    file: Path,
    card: Card,
    against: ModelRequest | None,
    images: Path | None,
    progress: Callable[[str, str], None],
) -> _Measure:
    from edge.expected import expected
    from edge.models.sources import resolve

    request = _request_of(file, card) if against is None else _shaped_like(card, against)
    model = resolve(request)
    if against is None and model.weights.sha256 != card.weights.sha256:
        raise UsageError(
            f"the weights that {file.name} was made from are no longer those of {request.reference}",
            hint="give --against MODEL, with --weights FILE where it needs them",
        )
    progress(model.reference, "built")
    answers = expected(model, images)
    progress(model.reference, f"reference outputs on {answers.count} inputs")
    return _Measure(request, model, answers)


def _request_of(file: Path, card: Card) -> ModelRequest:
    """The model recorded beside the file, else the one its card names; never one whose code would have to be run.

    A file may come from anywhere: that it names `some.py:factory` is no reason to execute that.
    """
    recorded = (file.parent / RECORD).exists()
    request = recorded_request(file.parent) if recorded else _shaped_like(card, ModelRequest(card.model))
    folder = Path(request.reference)
    network = runfolder.network(folder, runfolder.read(folder), request) if request.kind is Kind.RUN else request
    if network.kind is Kind.FACTORY:
        raise UsageError(
            f"{file.name} says it was made by {network.reference}, whose code is not run on a file's word",
            hint=f"say so yourself: --against {request.reference}",
        )
    return request


def _shaped_like(card: Card, request: ModelRequest) -> ModelRequest:
    """The request at the file's input size and number of classes, where it leaves them open."""
    if card.preprocess is not None and request.image_size is None:
        request = replace(request, image_size=(card.preprocess.height, card.preprocess.width))
    if (
        request.num_classes is None
        and len(card.outputs) == 1
        and len(card.outputs[0].shape) == 2
        and request.kind not in {Kind.TIMM, Kind.FACTORY}
    ):
        request = replace(request, num_classes=card.outputs[0].shape[1])
    return request
