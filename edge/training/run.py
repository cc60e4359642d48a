"""A training from order to run folder: pictures, network, loop, and the files that make the folder a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge import runfolder
from edge.dense.subject import answers, mapped_scenes
from edge.models.weights import save_weights
from edge.reference import fingerprint
from edge.training.classification import labelled_pictures
from edge.training.lesson import Lesson
from edge.training.loop import Trainee, fit
from edge.training.order import TrainingOrder
from edge.training.parallel import Group, joined
from edge.training.recipe import Answers
from edge.training.record import EpochMetrics, Record, Settings
from edge.training.start import Start
from edge.training.subject import Subject
from edge.training.watch import Watcher

NAMED = 3
"""How many unreadable pictures a warning names."""

Warn = Callable[[str], None]
History = tuple[EpochMetrics, ...]


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """How a run ended. `trained` counts the epochs of this call: fewer than all after a resume, none if it was finished.

    `leads` is false in all but one of the processes that train together.
    """

    run: Path
    history: tuple[EpochMetrics, ...]
    trained: int
    leads: bool


def train(order: TrainingOrder, watcher: Watcher, warn: Warn) -> TrainingReport:
    """Train, or go on from the last complete checkpoint, or find the run finished.

    Raises `UsageError` when the folder holds a run of other settings, and for pictures that make no classifier.
    """
    with joined() as group:
        subject = _subject(order)
        record = Record(order.out)
        if group.leads:
            record.claim(_settings(order, subject, group))
        group.wait()
        if (order.out / runfolder.RECORD).exists():
            before = history = record.metrics()
        else:
            before, history = _train(order, subject, record, group, watcher, warn)
        if group.leads:
            record.sweep()
        return TrainingReport(order.out, history, len(history) - len(before), group.leads)


def _train(
    order: TrainingOrder, subject: Subject, record: Record, group: Group, watcher: Watcher, warn: Warn
) -> tuple[History, History]:
    """The epochs found in the record, and all epochs at the end."""
    begun = subject.start(order)
    lesson = subject.lesson(order, begun)
    trainee = Trainee(begun.network, lesson.recipe, group)
    if group.leads and lesson.unreadable:
        warn(_unreadable(lesson.unreadable))
    before = trainee.resume(record)
    history = fit(trainee, lesson, before, record, group, watcher)
    if group.leads:
        save_weights(trainee.average.network, order.out / runfolder.WEIGHTS)
        record.write_metrics(history)
        lesson.leave(trainee.average.network, order.out)
        runfolder.write(order.out, _card(order, subject, lesson, begun, history))
    group.wait()
    return before, history


def _subject(order: TrainingOrder) -> Subject:
    return _SUBJECTS[answers(order.data)](order)


_SUBJECTS: Mapping[Answers, Callable[[TrainingOrder], Subject]] = {
    Answers.CLASSES: labelled_pictures,
    Answers.MAPS: mapped_scenes,
}


def _settings(order: TrainingOrder, subject: Subject, group: Group) -> Settings:
    """What decides the result; a run is taken up only with the same. `None` is the default of whatever is trained."""
    request, teacher = order.request, order.teacher
    size = request.image_size
    return {
        "model": request.reference,
        "image_size": None if size is None else f"{size[0]}x{size[1]}",
        "data": order.data,
        "seed": request.seed,
        **asdict(order.recipe),
        "leak_epochs": order.leak_epochs,
        "scenes": order.scenes,
        "teacher": None if teacher is None else teacher.reference,
        "processes": group.size,
        "pictures_sha256": subject.fingerprint,
        "model_sha256": fingerprint(request),
        "teacher_sha256": None if teacher is None else fingerprint(teacher),
    }


def _card(
    order: TrainingOrder, subject: Subject, lesson: Lesson[Any], begun: Start, history: History
) -> runfolder.RunCard:
    preprocess = begun.preprocess
    return runfolder.RunCard(
        model=begun.reference,
        num_classes=lesson.num_classes,
        image_size=(preprocess.height, preprocess.width),
        labels=lesson.labels,
        mean=preprocess.mean,
        std=preprocess.std,
        crop=preprocess.crop,
        interpolation=preprocess.interpolation,
        data=subject.name(order),
        seed=order.request.seed,
        epochs=len(history),
        accuracy=history[-1].accuracy,
        licence=begun.licence,
    )


def _unreadable(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"left out, as they cannot be read as pictures ({len(names)}): {', '.join(names[:NAMED])}{more}"
