"""The supernet of a search, trained once: a run folder that survives kills, as that of any network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from edge import runfolder
from edge.models.weights import load_state, load_weights, save_weights
from edge.search.mixing import MixedSupernet
from edge.search.sandwich import Sandwich
from edge.space import SearchSpace
from edge.training.classification import Classification
from edge.training.loop import Leaky, Trainee, fit
from edge.training.parallel import Group
from edge.training.recipe import default_leak_epochs
from edge.training.record import Record
from edge.training.watch import Watcher


def trained(
    space: SearchSpace,
    pictures: Classification,
    calibration: int,
    fingerprint: str,
    folder: Path,
    *,
    group: Group,
    watcher: Watcher,
) -> MixedSupernet:
    """Train the supernet of `space`, or go on from the last complete checkpoint in `folder`, or find it finished there.

    `pictures` bring the recipe and the seed, and are held out to judge by; `fingerprint` changes when any of them does. Of
    those trained on, `calibration` set the batch norms before an epoch is scored. Raises `UsageError` when the folder holds
    a run of other settings, and when the loss becomes no number.
    """
    lesson = Sandwich(space, _leaking(space, pictures), calibration)
    record = Record(folder)
    if group.leads:
        record.claim(_settings(space, lesson, fingerprint, group))
    group.wait()
    if not (folder / runfolder.WEIGHTS).exists():
        _train(space, lesson, record, group, watcher)
    if group.leads:
        record.sweep()
    return load(space, folder)


def load(space: SearchSpace, folder: Path) -> MixedSupernet:
    """The supernet that `trained` left in `folder`, in inference mode. Raises `WeightsError`."""
    supernet = MixedSupernet(space)
    load_weights(supernet, load_state(folder / runfolder.WEIGHTS))
    return supernet.eval()


def _train(space: SearchSpace, lesson: Sandwich, record: Record, group: Group, watcher: Watcher) -> None:
    trainee = Trainee(MixedSupernet(space, lesson.seed), lesson.recipe, group)
    history = fit(trainee, lesson, trainee.resume(record), record, group, watcher)
    if group.leads:
        record.write_metrics(history)
        save_weights(trainee.average.network, record.folder / runfolder.WEIGHTS)
    group.wait()


def _leaking(space: SearchSpace, pictures: Classification) -> Classification:
    """With the usual epochs in which activations become linear, in a space of networks that are trained so."""
    leaks = isinstance(space.build(space.smallest()), Leaky)
    epochs = default_leak_epochs(pictures.recipe.epochs) if leaks else 0
    return replace(pictures, recipe=replace(pictures.recipe, leak_epochs=epochs))


def _settings(
    space: SearchSpace, lesson: Sandwich, fingerprint: str, group: Group
) -> Mapping[str, str | int | float | None]:
    """What decides the result; a supernet is taken up only with the same."""
    return {
        "space": space.name,
        "image_size": f"{space.image_size[0]}x{space.image_size[1]}",
        "classes": space.num_classes,
        "seed": lesson.seed,
        **asdict(lesson.recipe),
        "calibration": lesson.calibration,
        "processes": group.size,
        "pictures_sha256": fingerprint,
    }
