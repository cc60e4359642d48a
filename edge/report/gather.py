"""Executes and times the files of an export on this machine, and gathers everything that the report says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edge import plugins, whole
from edge.card import Card
from edge.errors import BadArtifactError, EdgeError, NotExecutableHereError
from edge.evaluate import accuracy, file_logits, model_logits
from edge.export_folder import read_record, recorded_files, recorded_request
from edge.models.sources import Model
from edge.preprocess import Preprocess
from edge.protocol import TimingPlan
from edge.report import network
from edge.report.examples import examples
from edge.report.facts import FileFacts, Latency, Missing, ModelFacts, Report
from edge.report.find import Found, epochs
from edge.report.pictures import Asked, asked
from edge.verification import read_card
from edge.verify import FAILED

AT_ONCE = 2
"""Files executed side by side; timing follows, one file alone at a time."""
PYTORCH = "PyTorch"
DEVICE = "host"

Progress = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Bench:
    """How files are executed and timed here, and where their chatter goes."""

    plan: TimingPlan
    logs: Path
    timeout_s: float
    progress: Progress


@dataclass(frozen=True, slots=True)
class _File:
    """A file, its card, what is known of it, and what it answered to the pictures (N, K)."""

    path: Path
    card: Card
    facts: FileFacts
    logits: NDArray[Any] | None = None


def gather(found: Found, missing: Sequence[Missing], bench: Bench) -> Report:
    """Read, execute and time every file. One that fails here stays in the report, with the reason.

    Raises `BadArtifactError` when a record or a card cannot be read.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        files = list(pool.map(lambda entry: _read(entry, bench), _recorded(found.exports)))
        pictures = {each: asked(found.run, each) for each in {_asks(file.card) for file in files} if each is not None}
        files = list(pool.map(lambda file: _execute(file, pictures, bench), files))
    files = [_timed(file, bench) for file in files]
    card = files[0].card
    model = network.rebuilt(recorded_request(found.exports[0]), card)
    asks = _asks(card)
    first = None if asks is None else pictures[asks]
    answers = _answers(model, files, first)
    return Report(
        model=_judged(network.facts(card, model), answers, first),
        files=tuple(file.facts for file in files),
        missing=tuple(missing),
        epochs=epochs(found.run) if found.run is not None else (),
        examples=examples(first.pictures, first.truths, card.labels, answers) if first is not None and answers else (),
        pictures=first.words if first is not None else "",
    )


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A file, what `edge.json` says of it, and what to call it in the report."""

    path: Path
    fields: Mapping[str, Any]
    name: str


def _recorded(exports: Sequence[Path]) -> list[_Recorded]:
    listed = [
        _Recorded(path, fields, path.name if len(exports) == 1 else f"{folder.name}/{path.name}")
        for folder in exports
        for path, fields in sorted(  # `edge.json` has them in the order in which they were finished
            zip(recorded_files(folder), read_record(folder)["artifacts"], strict=True), key=lambda pair: pair[0]
        )
    ]
    if not listed:
        raise BadArtifactError(f"{exports[0]} lists no files", hint="export the model again")
    return listed


def _read(recorded: _Recorded, bench: Bench) -> _File:
    path, fields = recorded.path, recorded.fields
    exporter = plugins.exporter_for(path)
    card = read_card(path, bench.logs)
    inputs, tolerance = _number(fields, "inputs"), fields.get("tolerance")
    facts = FileFacts(
        target=exporter.name,
        name=recorded.name,
        bytes=whole.size(path),
        sha256=whole.sha256(path),
        precision=card.precision,
        verdict=str(fields.get("verdict")),
        reason=str(fields.get("reason")),
        executed_by=str(fields.get("executed_by")),
        inputs=None if inputs is None else int(inputs),
        relative_error=_number(fields, "relative_error"),
        allowed_error=_number(tolerance, "relative_error") if isinstance(tolerance, Mapping) else None,
        tools=card.tools,
    )
    if facts.sha256 != fields.get("sha256"):
        facts = replace(
            facts,
            verdict=FAILED,
            reason="the file has changed since it was verified",
            inputs=None,
            relative_error=None,
            allowed_error=None,
        )
    return _File(path, card, facts)


def _asks(card: Card) -> Preprocess | None:
    """How pictures are prepared for a file that classifies them: one row of scores, a label for each or none at all."""
    shape = card.outputs[0].shape
    return card.preprocess if len(shape) == 2 and len(card.labels) in (0, shape[1]) else None


def _execute(file: _File, prepared: Mapping[Preprocess, Asked], bench: Bench) -> _File:
    """The file with its answers; with the reason when it has none."""
    asks = _asks(file.card)
    if asks is None:
        return file
    pictures = prepared[asks]
    log = bench.logs / f"{file.path.name}.log"
    try:
        logits = file_logits(file.path, file.card, pictures.pictures, log=log, timeout_s=bench.timeout_s)
    except NotExecutableHereError as error:
        return replace(file, facts=replace(file.facts, silent=str(error)))
    except BadArtifactError as error:
        return replace(file, facts=replace(file.facts, verdict=FAILED, silent=str(error)))
    bench.progress(file.facts.target, f"asked about {len(logits)} pictures")
    right = accuracy(logits, pictures.truths) if pictures.truths is not None else None
    return replace(file, logits=logits, facts=replace(file.facts, accuracy=right))


def _timed(file: _File, bench: Bench) -> _File:
    """The file with its latency on this machine, where it can be executed at all."""
    if file.facts.silent:
        return file
    try:
        measured = plugins.device(DEVICE).time(file.path, bench.plan, log=bench.logs / f"{file.path.name}.log")
    except EdgeError as error:
        return replace(file, facts=replace(file.facts, silent=str(error)))
    bench.progress(file.facts.target, f"timed: {measured.median_ms:.3g} ms")
    return replace(file, facts=replace(file.facts, latency=Latency.of(measured)))


def _answers(model: Model | str, files: Sequence[_File], pictures: Asked | None) -> dict[str, NDArray[Any]]:
    """What PyTorch, where it could be built, and every executed file said of the first file's pictures (N, K)."""
    if pictures is None:
        return {}
    said = {file.facts.called: file.logits for file in files if file.logits is not None}
    return said if isinstance(model, str) else {PYTORCH: model_logits(model, pictures.pictures), **said}


def _judged(facts: ModelFacts, answers: Mapping[str, NDArray[Any]], pictures: Asked | None) -> ModelFacts:
    if pictures is None or pictures.truths is None or PYTORCH not in answers:
        return facts
    return replace(facts, accuracy=accuracy(answers[PYTORCH], pictures.truths))


def _number(fields: Mapping[str, Any], name: str) -> float | None:
    """A number from `edge.json`, which anybody may have written."""
    value = fields.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
