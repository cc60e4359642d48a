"""A training from order to run folder: pictures, network, loop, and the files that make the folder a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from edge import runfolder
from edge.errors import UsageError
from edge.models.weights import save_weights
from edge.reference import ModelRequest, fingerprint
from edge.training.augment import NATURAL, UPRIGHT
from edge.training.data import DIGITS, Source, decode, find
from edge.training.lesson import Lesson
from edge.training.loop import Leaky, Trainee, fit
from edge.training.parallel import Group, joined
from edge.training.recipe import TrainingRecipe, default_leak_epochs
from edge.training.record import EpochMetrics, Record, Settings
from edge.training.start import Start, Teacher, start
from edge.training.watch import Watcher

NAMED = 3
"""How many unreadable pictures a warning names."""

Warn = Callable[[str], None]
History = tuple[EpochMetrics, ...]


@dataclass(frozen=True, slots=True)
class TrainingOrder:
    """Everything that `edge train` was asked for.

    `leak_epochs` None: a third of the run for a network that can leak. `workers` are threads that decode pictures.
    """

    request: ModelRequest
    data: str
    out: Path
    recipe: TrainingRecipe
    leak_epochs: int | None = None
    teacher: ModelRequest | None = None
    workers: int = 1


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
        source = find(order.data, order.request.seed)
        record = Record(order.out)
        if group.leads:
            record.claim(_settings(order, source, group))
        group.wait()
        if (order.out / runfolder.RECORD).exists():
            before = history = record.metrics()
        else:
            before, history = _train(order, source, record, group, watcher, warn)
        if group.leads:
            record.sweep()
        return TrainingReport(order.out, history, len(history) - len(before), group.leads)


def _train(
    order: TrainingOrder, source: Source, record: Record, group: Group, watcher: Watcher, warn: Warn
) -> tuple[History, History]:
    """The epochs found in the record, and all epochs at the end."""
    begun = start(order.request, order.data, len(source.classes))
    lesson = _lesson(order, source, begun)
    trainee = Trainee(begun.network, lesson.recipe, group)
    if group.leads and (unreadable := (*lesson.training.unreadable, *lesson.held_out.unreadable)):
        warn(_unreadable(unreadable))
    before: History = ()
    if (checkpoint := record.checkpoint()) is not None:
        trainee.load(checkpoint.states)
        before = checkpoint.history
    history = fit(trainee, lesson, before, record, group, watcher)
    if group.leads:
        save_weights(trainee.average.network, order.out / runfolder.WEIGHTS)
        record.write_metrics(history)
        runfolder.write(order.out, _card(order, lesson, begun, history))
    group.wait()
    return before, history


def _settings(order: TrainingOrder, source: Source, group: Group) -> Settings:
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
        "teacher": None if teacher is None else teacher.reference,
        "processes": group.size,
        "pictures_sha256": source.fingerprint,
        "model_sha256": fingerprint(request),
        "teacher_sha256": None if teacher is None else fingerprint(teacher),
    }


def _lesson(order: TrainingOrder, source: Source, begun: Start) -> Lesson:
    return Lesson(
        training=decode(source.training, source.classes, begun.preprocess, workers=order.workers),
        held_out=decode(source.held_out, source.classes, begun.preprocess, workers=order.workers),
        preprocess=begun.preprocess,
        recipe=replace(order.recipe, leak_epochs=_leak_epochs(order, begun)),
        jitter=UPRIGHT if order.data == DIGITS else NATURAL,
        seed=order.request.seed,
        teacher=None if order.teacher is None else Teacher(order.teacher, len(source.classes)),
    )


def _leak_epochs(order: TrainingOrder, begun: Start) -> int:
    if isinstance(begun.network, Leaky):
        return default_leak_epochs(order.recipe.epochs) if order.leak_epochs is None else order.leak_epochs
    if order.leak_epochs is not None:
        raise UsageError(f"{begun.reference} has no leaky activations", hint="--leak-epochs is for VanillaNet")
    return 0


def _card(order: TrainingOrder, lesson: Lesson, begun: Start, history: History) -> runfolder.RunCard:
    preprocess = begun.preprocess
    return runfolder.RunCard(
        model=begun.reference,
        num_classes=len(lesson.training.classes),
        image_size=(preprocess.height, preprocess.width),
        labels=lesson.training.classes,
        mean=preprocess.mean,
        std=preprocess.std,
        crop=preprocess.crop,
        interpolation=preprocess.interpolation,
        data=order.data if order.data == DIGITS else str(Path(order.data).resolve()),
        seed=order.request.seed,
        epochs=len(history),
        accuracy=history[-1].accuracy,
        licence=begun.licence,
    )


def _unreadable(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"left out, as they cannot be read as pictures ({len(names)}): {', '.join(names[:NAMED])}{more}"
