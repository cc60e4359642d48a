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
            "executed_by": plugins.exporter(recipe.exporter).executed_by() if order.verify else "nothing",
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
    name = folder_name(stem, order.recipes[0].precision, model.inputs[0])
    folder = ExportFolder(order.out / name, order.request, _label_lines(model))
    files = [stem + plugins.exporter(recipe.exporter).suffix for recipe in recipes]
    folder.refuse_overwriting(dict.fromkeys(files, ""), force=order.force)
    export_of = _Export(order, model, folder, stem, known, progress)
    measure: Future[Expected] = Future()
    artifacts: list[Artifact] = []
    with tempfile.TemporaryDirectory(prefix="edge-export-") as scratch, ThreadPoolExecutor(os.cpu_count()) as pool:
        captured = programs.save(model, recipes, Path(scratch))
        progress(model.reference, "captured")
        jobs = {pool.submit(_export_one, export_of, recipe, captured[recipe], measure): recipe for recipe in recipes}
        try:
            if order.verify:
                measure.set_result(expected(model))
                progress(model.reference, "reference outputs computed")
            _collect(jobs, order, failures, artifacts)
        except BaseException as error:
            if not measure.done():
                measure.set_exception(error)
            pool.shutdown(wait=False, cancel_futures=True)
            worker.stop_all()
            raise
        finally:
            if artifacts:  # what was finished before an error is kept
                folder.record(artifacts)
    return tuple(artifacts)


def _label_lines(model: Model) -> tuple[str, ...]:
    """The model's labels; of a classifier without any, its class indices."""
    shape = model.outputs[0].shape
    classes = shape[1] if len(model.outputs) == 1 and len(shape) == 2 else 0
    return model.labels or tuple(str(index) for index in range(classes))


@dataclass(frozen=True, slots=True)
class _Export:
    """What the targets of one export share."""

    order: ExportOrder
    model: Model
    folder: ExportFolder
    stem: str
    known: str | None
    progress: Progress


def _export_one(job: _Export, recipe: Recipe, program: Path, measure: Future[Expected]) -> Artifact:
    """Convert one target, execute and judge the file as soon as the reference outputs are there, and keep it."""
    from edge import programs
    from edge.check import check

    started = time.perf_counter()
    path = program.parent / recipe.exporter / (job.stem + plugins.exporter(recipe.exporter).suffix)
    path.parent.mkdir()
    log = job.order.logs / f"{path.name}.log"
    card = programs.card(job.model, recipe).to_json()
    arguments = {"program": str(program), "recipe": asdict(recipe), "card": card, "path": str(path)}
    doing = f"converting {job.model.reference} to {recipe.exporter}"
    worker.run(worker.Job("edge.tasks:convert", arguments, log, doing, ConversionError, job.order.timeout_s))
    job.progress(recipe.exporter, "converted")
    verdict = Verdict(NOT_EXECUTED, "--no-verify", "nothing")
    if job.order.verify:
        verdict = check(path, measure.result(), log=log, timeout_s=job.order.timeout_s)
        job.progress(recipe.exporter, f"verified: {verdict.verdict}")
    target = job.folder.place(path, path.name)
    if job.known is not None and verdict.verdict != FAILED:
        record = {"folder": job.folder.path.name, "labels": list(job.folder.labels), "verdict": verdict.fields()}
        store.put(_key(job.known, recipe, job.order), path, record)
    return _artifact(recipe, target, verdict.fields(), seconds=time.perf_counter() - started, cached=False)


def _collect(
    jobs: Mapping[Future[Artifact], Recipe],
    order: ExportOrder,
    failures: dict[str, EdgeError],
    artifacts: list[Artifact],
) -> None:
    """Wait for every target; the first error ends the rest unless told to keep going."""
    waiting = set(jobs)
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            try:
                artifacts.append(future.result())
            except EdgeError as error:
                if not order.keep_going:
                    raise
                failures[jobs[future].exporter] = error


def _artifact(recipe: Recipe, path: Path, verdict: Mapping[str, Any], *, seconds: float, cached: bool) -> Artifact:
    return Artifact(
        recipe.exporter, path, whole.size(path), whole.sha256(path), recipe.precision, verdict, seconds, cached
    )
