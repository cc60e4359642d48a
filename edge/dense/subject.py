"""Scenes as something to learn: found for a network's tasks and size, rendered or decoded when training starts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from edge.dense.data import SceneSource
from edge.dense.gallery import gathered
from edge.dense.lesson import DenseLesson
from edge.dense.network import multi_task
from edge.dense.scenes import SCENES
from edge.dense.sources import LAYOUTS, Sources, find
from edge.errors import UsageError
from edge.models.m3vit_config import CHANNELS
from edge.models.sources import resolve_fresh
from edge.training.order import TrainingOrder
from edge.training.recipe import Answers
from edge.training.start import Start, bare, is_fresh, preprocessing, with_classes
from edge.training.subject import Subject

DRAWN = 1000
"""Scenes to train on, where they are drawn and nobody says how many."""
HELD_OUT = 256
"""Scenes that are drawn to measure by."""
SCENES_LICENCE = "scenes drawn by edge, with two photographs of scikit-learn (CC BY 2.0)"


@dataclass(frozen=True, slots=True)
class MappedScenes(Subject):
    """Scenes with a map for each of `tasks`, which are those of the network."""

    training: SceneSource
    held_out: SceneSource
    tasks: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Of all maps, also those of tasks that are not learned: runs for several tasks of one source share it."""
        return hashlib.sha256(f"{self.training.fingerprint}\n{self.held_out.fingerprint}".encode()).hexdigest()

    def start(self, order: TrainingOrder) -> Start:
        model = with_classes(order.request, self._classes) if "seg" in self.tasks else resolve_fresh(order.request)
        licence = model.weights.licence
        if is_fresh(order.request):
            licence = SCENES_LICENCE if order.data == SCENES else "unknown"
        preprocess = replace(preprocessing(model), crop=1.0)  # a map belongs to every pixel of its picture
        return Start(model.module, preprocess, bare(order.request).reference, licence)

    def lesson(self, order: TrainingOrder, begun: Start) -> DenseLesson:
        return DenseLesson(
            training=gathered(self.training, self.tasks, workers=order.workers),
            held_out=gathered(self.held_out, self.tasks, workers=order.workers),
            classes=self.training.classes,
            channels=self._classes if "seg" in self.tasks else CHANNELS[self.tasks[0]] or self._classes,
            preprocess=begun.preprocess,
            recipe=order.recipe,
            seed=order.request.seed,
        )

    def name(self, order: TrainingOrder) -> str:
        return order.data if order.data == SCENES else str(Path(order.data).resolve())

    @property
    def _classes(self) -> int:
        return len(self.training.classes)


def answers(data: str) -> Answers:
    """What a network that is trained on `data` answers with."""
    has_maps = data == SCENES or any(layout.fits(Path(data)) for layout in LAYOUTS)
    return Answers.MAPS if has_maps else Answers.CLASSES


def mapped_scenes(order: TrainingOrder) -> MappedScenes:
    """The scenes that an order names, at the size of its network.

    Raises `UsageError` for a network that answers no tasks, a task that these scenes have no map of, and what is for classes.
    """
    _require_for_maps(order)
    network = multi_task(resolve_fresh(bare(order.request)).module, order.request.reference)
    training, held_out = _found(order, network.image_size)
    if missing := [task for task in network.tasks if task not in training.tasks]:
        raise UsageError(
            f"{order.data} has no maps of {', '.join(missing)}, which {order.request.reference} answers",
            hint=f"it has {', '.join(training.tasks)}: train a network of one of them, such as m3vit_tiny_{training.tasks[0]}",
        )
    return MappedScenes(training, held_out, network.tasks)


def _found(order: TrainingOrder, size: tuple[int, int]) -> Sources:
    if order.scenes is not None and order.data != SCENES:
        raise UsageError(f"--scenes is for scenes that are drawn, not for {order.data}", hint="leave --scenes out")
    return find(order.data, size, seed=order.request.seed, training=order.scenes or DRAWN, held_out=HELD_OUT)


def _require_for_maps(order: TrainingOrder) -> None:
    recipe = order.recipe
    given = {
        "--teacher": order.teacher is not None,
        "--leak-epochs": order.leak_epochs is not None,
        "--label-smoothing": recipe.label_smoothing > 0,
        "--mixup": recipe.mixup > 0,
        "--cutmix": recipe.cutmix > 0,
    }
    for option, used in given.items():
        if used:
            raise UsageError(f"{option} is for classes, and {order.data} has maps", hint=f"leave {option} out")
