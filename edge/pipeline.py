"""The main job on one screen: resolve a model, capture it, convert it for every target, execute and compare each file."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import plugins, store, whole, worker
from edge.artifact import Artifact
from edge.card import Card
from edge.errors import ConversionError, EdgeError
from edge.export_folder import ExportFolder, file_stem, folder_name
from edge.reference import ModelRequest, fingerprint
from edge.spec import Recipe
from edge.verify import FAILED, NOT_EXECUTED, Verdict

if TYPE_CHECKING:
    from edge.expected import Expected
    from edge.models.sources import Model

Progress = Callable[[str, str], None]
"""Called with a target (or the model) and the stage that it has just reached."""


@dataclass(frozen=True, slots=True)
class ExportOrder:
    """What `edge export` was asked for. `out` is the folder in which the model's own folder is made."""

    request: ModelRequest
    recipes: tuple[Recipe, ...]
    out: Path
    logs: Path
    verify: bool = True
    keep_going: bool = False
    force: bool = False
    timeout_s: float = 1800


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What came out: the folder, the files in the order asked for, and the errors of targets that failed."""

    folder: Path
    artifacts: tuple[Artifact, ...]
    failures: Mapping[str, EdgeError] = field(default_factory=dict)


def export(order: ExportOrder, progress: Progress) -> ExportReport:
    """Export to every target, side by side, and verify each file. Raises the first error unless `keep_going`."""
    failures: dict[str, EdgeError] = {}
    recipes = [recipe for recipe in order.recipes if _toolchain_present(recipe, order, failures)]
    known = fingerprint(order.request)
    stored = {recipe: store.find(_key(known, recipe, order)) for recipe in recipes} if known is not None else {}
    found = {recipe: entry for recipe, entry in stored.items() if entry is not None}
    missing = [recipe for recipe in recipes if recipe not in found]
    served = _serve(order, found, progress) if found else ()
    made = _make(order, missing, failures, known, progress) if missing else ()
    artifacts = {artifact.target: artifact for artifact in (*served, *made)}
    if not artifacts:
        raise next(iter(failures.values()))
    folder = next(iter(artifacts.values())).path.parent
    return ExportReport(
        folder, tuple(artifacts[recipe.exporter] for recipe in recipes if recipe.exporter in artifacts), failures
    )


def _toolchain_present(recipe: Recipe, order: ExportOrder, failures: dict[str, EdgeError]) -> bool:
    try:
        plugins.require(plugins.exporter(recipe.exporter))
    except EdgeError as error:
        if not order.keep_going:
            raise
        failures[recipe.exporter] = error
        return False
    return True


def _key(model: str, recipe: Recipe, order: ExportOrder) -> str:
    return store.key(
        {
            "model": model,
            "recipe": asdict(recipe),
            "tools": plugins.versions(plugins.exporter(recipe.exporter)),
            "verify": order.verify,
        }
    )


def _serve(
    order: ExportOrder, found: Mapping[Recipe, tuple[Path, dict[str, Any]]], progress: Progress
) -> tuple[Artifact, ...]:
    """Every file is in the store: copy them out. No toolchain is imported, nothing converted."""
    record = next(record for _, record in found.values())
    folder = ExportFolder(order.out / record["folder"], order.request, tuple(record["labels"]))
    folder.refuse_overwriting({path.name: whole.sha256(path) for path, _ in found.values()}, force=order.force)
    artifacts = []
    for recipe, (path, record) in found.items():
        artifacts.append(_artifact(recipe, folder.place(path, path.name), record["verdict"], seconds=0.0, cached=True))
        progress(recipe.exporter, "from the cache")
    folder.record(artifacts)
    return tuple(artifacts)


def _make(
    order: ExportOrder, recipes: Sequence[Recipe], failures: dict[str, EdgeError], known: str | None, progress: Progress
) -> tuple[Artifact, ...]:
    """Build and capture the model once, then convert and verify every target in worker processes."""
    from edge import programs
    from edge.expected import expected
    from edge.models.sources import resolve

    model = resolve(order.request)
    progress(model.reference, "built")
    stem = file_stem(model.reference)
    precision = order.recipes[0].precision
    folder = ExportFolder(order.out / folder_name(stem, precision, model.inputs[0]), order.request, model.labels)
    names = {recipe: stem + plugins.exporter(recipe.exporter).suffix for recipe in recipes}
    folder.refuse_overwriting(dict.fromkeys(names.values(), ""), force=order.force)
    measure: Future[Expected] = Future()
    with tempfile.TemporaryDirectory(prefix="edge-export-") as scratch, ThreadPoolExecutor(os.cpu_count()) as pool:
        captured = programs.save(model, recipes, Path(scratch))
        progress(model.reference, "captured")
        jobs = {
            pool.submit(
                _export_one,
                order,
                model,
                recipe,
                captured[recipe],
                Path(scratch) / recipe.exporter / names[recipe],
                measure,
                progress,
            ): recipe
            for recipe in recipes
        }
        try:
            if order.verify:
                measure.set_result(expected(model))
                progress(model.reference, "reference outputs computed")
            done = _collect(jobs, order, failures)
        except BaseException as error:
            if not measure.done():
                measure.set_exception(error)
            pool.shutdown(wait=False, cancel_futures=True)
            worker.stop_all()
            raise
        artifacts = tuple(_keep(order, folder, model, done[recipe], known) for recipe in recipes if recipe in done)
    folder.record(artifacts)
    return artifacts


@dataclass(frozen=True, slots=True)
class _Made:
    """A converted file in the scratch folder, with its verdict."""

    recipe: Recipe
    path: Path
    verdict: Verdict
    seconds: float


def _export_one(
    order: ExportOrder,
    model: Model,
    recipe: Recipe,
    program: Path,
    path: Path,
    measure: Future[Expected],
    progress: Progress,
) -> _Made:
    """Convert one target and, as soon as the reference outputs are there, execute and judge it."""
    from edge import programs
    from edge.check import check

    started = time.perf_counter()
    path.parent.mkdir()
    card = programs.card(model, recipe)
    log = order.logs / f"{path.name}.log"
    arguments = {"program": str(program), "recipe": asdict(recipe), "card": card.to_json(), "path": str(path)}
    doing = f"converting {model.reference} to {recipe.exporter}"
    worker.run(worker.Job("edge.tasks:convert", arguments, log, doing, ConversionError, order.timeout_s))
    progress(recipe.exporter, "converted")
    if not order.verify:
        return _Made(recipe, path, Verdict(NOT_EXECUTED, "--no-verify", "nothing"), time.perf_counter() - started)
    # the card that decides how the file is fed is the one inside the file
    inside = Card.from_json(
        worker.run(
            worker.Job("edge.tasks:describe", {"path": str(path)}, log, f"reading {path.name}", ConversionError)
        )["card"]
    )
    verdict = check(path, inside, measure.result(), log=log, timeout_s=order.timeout_s)
    progress(recipe.exporter, f"verified: {verdict.verdict}")
    return _Made(recipe, path, verdict, time.perf_counter() - started)


def _collect(
    jobs: Mapping[Future[_Made], Recipe], order: ExportOrder, failures: dict[str, EdgeError]
) -> dict[Recipe, _Made]:
    """Wait for every target; the first error ends the rest unless told to keep going."""
    made = {}
    waiting = set(jobs)
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            try:
                made[jobs[future]] = future.result()
            except EdgeError as error:
                if not order.keep_going:
                    raise
                failures[jobs[future].exporter] = error
    return made


def _keep(order: ExportOrder, folder: ExportFolder, model: Model, made: _Made, known: str | None) -> Artifact:
    """Put a finished file into the folder and, unless it failed, into the store."""
    target = folder.place(made.path, made.path.name)
    verdict = made.verdict.fields()
    if known is not None and made.verdict.verdict != FAILED:
        record = {"folder": folder.path.name, "labels": list(model.labels), "verdict": verdict}
        store.put(_key(known, made.recipe, order), made.path, record)
    return _artifact(made.recipe, target, verdict, seconds=made.seconds, cached=False)


def _artifact(recipe: Recipe, path: Path, verdict: Mapping[str, Any], *, seconds: float, cached: bool) -> Artifact:
    return Artifact(
        recipe.exporter, path, whole.size(path), whole.sha256(path), recipe.precision, verdict, seconds, cached
    )
