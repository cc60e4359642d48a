"""Files against the model they were made from, or against a model that the user names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge import runfolder, worker
from edge.card import Card
from edge.check import check
from edge.errors import BadArtifactError, UsageError
from edge.export_folder import RECORD, recorded_files, recorded_request
from edge.reference import Kind, ModelRequest
from edge.verify import Verdict

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
    model_request = against or _request_of(files[0], cards[files[0]])

    from edge.expected import expected
    from edge.models.sources import resolve

    model = resolve(_shaped_like(cards[files[0]], model_request))
    if against is None and model.weights.sha256 != cards[files[0]].weights.sha256:
        raise UsageError(
            f"the weights that {files[0].name} was made from are no longer those of {model_request.reference}",
            hint="give --against MODEL, with --weights FILE where it needs them",
        )
    progress(model.reference, "built")
    measured = expected(model, images)
    progress(model.reference, f"reference outputs on {measured.count} inputs")
    results = []
    for file in files:
        results.append((file, check(file, measured, log=logs / f"{file.name}.log", timeout_s=timeout_s)))
        progress(file.name, results[-1][1].verdict)
    return results


def _request_of(file: Path, card: Card) -> ModelRequest:
    """The model recorded beside the file, else the one its card names; never one whose code would have to be run.

    A file may come from anywhere: that it names `some.py:factory` is no reason to execute that.
    """
    request = recorded_request(file.parent) if (file.parent / RECORD).exists() else ModelRequest(card.model)
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
        and ":" not in request.reference
    ):
        request = replace(request, num_classes=card.outputs[0].shape[1])
    return request
