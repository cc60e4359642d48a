"""Scenes kept in memory, rendered or decoded once, and their mirror images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.dense.data import Scene, SceneSource
from edge.errors import PictureError, UsageError
from edge.training.data import room

Maps = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Pictures uint8 (N, H, W, 3) and the map of each task, (N, H, W) or (N, H, W, 3), of the dtypes of a `Scene`."""

    pictures: NDArray[np.uint8]
    maps: Maps
    unreadable: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pictures)

    def chosen(self, which: NDArray[np.int64] | slice) -> Gallery:
        """Some of the scenes."""
        return Gallery(self.pictures[which], {task: maps[which] for task, maps in self.maps.items()})


def gathered(source: SceneSource, tasks: Sequence[str], *, workers: int = 1) -> Gallery:
    """Every scene of `source` with the maps of `tasks`; `workers` threads share the work. Much of it lies in a file.

    Scenes that cannot be read are left out and named. Raises `UsageError` when none is left.
    """
    with ThreadPoolExecutor(workers) as threads:
        return _stacked(threads.map(lambda index: _read(source, index), range(len(source))), len(source), tasks)


def mirrored(scenes: Gallery, which: NDArray[np.bool_]) -> Gallery:
    """The scenes, those of `which` (N,) as in a mirror: left and right change places, and so does the x of a normal."""
    return Gallery(
        _flipped(scenes.pictures, which),
        {task: _MIRRORS.get(task, _flipped)(maps, which) for task, maps in scenes.maps.items()},
    )


def _flipped(values: NDArray[Any], which: NDArray[np.bool_]) -> NDArray[Any]:
    flipped = values.copy()
    flipped[which] = values[which][:, :, ::-1]
    return flipped


def _flipped_vectors(values: NDArray[Any], which: NDArray[np.bool_]) -> NDArray[Any]:
    flipped = _flipped(values, which)
    flipped[which, ..., 0] *= -1
    return flipped


_MIRRORS = {"normals": _flipped_vectors}
"""Maps whose values change in a mirror, not only their places."""


def _read(source: SceneSource, index: int) -> Scene | str:
    try:
        return source.scene(index)
    except PictureError as error:
        return str(error)


def _stacked(found: Iterable[Scene | str], count: int, tasks: Sequence[str]) -> Gallery:
    kept: dict[str, NDArray[Any]] = {}
    unreadable: list[str] = []
    done = 0
    for scene in found:
        if isinstance(scene, str):
            unreadable.append(scene)
            continue
        layers = {"": scene.picture, **{task: scene.maps[task] for task in tasks}}
        kept = kept or {name: room((count, *layer.shape), layer.dtype) for name, layer in layers.items()}
        for name, layer in layers.items():
            kept[name][done] = layer
        done += 1
    if not done:
        raise UsageError("none of the scenes can be read", hint="give scenes, or a folder of NYUD-v2 or PASCAL-Context")
    return Gallery(kept[""][:done], {task: kept[task][:done] for task in tasks}, tuple(unreadable))
