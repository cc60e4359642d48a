"""Scenes out of a data set's folder: pictures, lists of their names, and one file or more per picture and task."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge.dense.data import Scene, SceneSource
from edge.errors import PictureError, UsageError
from edge.models.m3vit_config import CHANNELS, grid_of
from edge.preprocess import load_picture

Map = NDArray[Any]
Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True, slots=True)
class MapFiles:
    """Where one task's map of a picture is: each file that it needs, by the places, `{}` for the name, where it may be.

    `read` gets one path per file and the size wanted, and raises `PictureError`.
    """

    needed: tuple[tuple[str, ...], ...]
    read: Callable[[Sequence[Path], Size], Map]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a data set lies in its folder. `names` is where the list of each part is, `{}` for `train` or `val`."""

    title: str
    pictures: str
    names: str
    maps: Mapping[str, MapFiles]
    classes: tuple[str, ...]

    def fits(self, root: Path) -> bool:
        """Whether the folder has the two lists of names and the folder of pictures."""
        lists = all((root / self.names.format(part)).is_file() for part in ("train", "val"))
        return lists and (root / self.pictures).parent.is_dir()

    def tasks(self, root: Path) -> tuple[str, ...]:
        """Those whose folders are there."""
        return tuple(task for task in CHANNELS if task in self.maps and self._has(root, self.maps[task]))

    @staticmethod
    def _has(root: Path, files: MapFiles) -> bool:
        return all(any((root / place).parent.is_dir() for place in places) for places in files.needed)


@dataclass(frozen=True)
class FolderScenes(SceneSource):
    """The pictures `names` of a folder, bent to `size` (H, W), with the maps of `tasks`: pictures bilinear, maps nearest."""

    layout: Layout
    root: Path
    size: Size
    names: tuple[str, ...]
    tasks: tuple[str, ...]
    fingerprint: str

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.layout.classes

    def __len__(self) -> int:
        return len(self.names)

    def scene(self, index: int) -> Scene:
        """The picture of that number in the list. Raises `PictureError` when a file of it cannot be read."""
        name = self.names[index]
        picture = load_picture(self.root / self.layout.pictures.format(name))
        bent = picture.resize(self.size[::-1], Image.Resampling.BILINEAR)
        maps = {
            task: self.layout.maps[task].read(located(self.root, self.layout.maps[task], name), self.size)
            for task in self.tasks
        }
        return Scene(np.asarray(bent, np.uint8), maps)


def opened(layout: Layout, root: Path, part: str, size: Size) -> FolderScenes:
    """One part, `train` or `val`, of a data set. Raises `UsageError` for a folder that lacks what its list names."""
    grid_of(size)
    tasks = layout.tasks(root)
    if not tasks:
        wanted = sorted({str(Path(place).parent) for files in layout.maps.values() for place in files.needed[0]})
        raise UsageError(f"{root} has no map of any task", hint=f"{layout.title} has some of {', '.join(wanted)}")
    names = _listed(layout, root, part)
    mark = hashlib.sha256(f"{layout.title} {part} {size} {tasks}".encode())
    for name in names:
        files = [_found(root, (layout.pictures,), name)]
        files += [path for task in tasks for path in located(root, layout.maps[task], name)]
        mark.update("".join(f"{file.relative_to(root)} {file.stat().st_size}\n" for file in files).encode())
    return FolderScenes(layout, root, size, names, tasks, mark.hexdigest())


def located(root: Path, files: MapFiles, name: str) -> tuple[Path, ...]:
    """The files of one map. Raises `UsageError` for one that is nowhere."""
    return tuple(_found(root, places, name) for places in files.needed)


def read_array(path: Path, key: str) -> Map:
    """A file of numbers: the pixels of a picture as they are stored, `.npy`, or the variable `key` of a `.mat`.

    Raises `PictureError`.
    """
    try:
        return READERS[path.suffix](path, key)
    except KeyError:
        raise PictureError(f"{path} has no variable {key!r}", hint="it is not of this data set") from None
    except (
        OSError,
        ValueError,
        EOFError,
        SyntaxError,
        TypeError,
        NotImplementedError,
        Image.DecompressionBombError,
    ) as fault:
        raise PictureError(f"cannot read {path}: {fault}", hint="unpack the data set again") from fault


def of_shape(array: Map, dimensions: int, path: Path) -> Map:
    """The array itself: H, W, and three components if it has three dimensions. Raises `PictureError` for any other."""
    if array.ndim != dimensions or not array.size or array.shape[2:] != (3,) * (dimensions - 2):
        wanted = "(H, W)" if dimensions == 2 else "(H, W, 3)"
        raise PictureError(f"{path} has shape {array.shape}", hint=f"a map of this task is {wanted}")
    return array


def nearest(array: Map, size: Size) -> Map:
    """Bend to (H, W) by taking, for each pixel, the value of the nearest; nothing is mixed, so NaN stays where it is."""
    rows, columns = (
        ((np.arange(wanted) + 0.5) * given / wanted).astype(int)
        for given, wanted in zip(array.shape[:2], size, strict=True)
    )
    return array[rows[:, None], columns]


def unit_vectors(array: Map) -> NDArray[np.float32]:
    """Scale (H, W, 3) to length 1. What is not half as long stands for no vector and becomes NaN."""
    values = array.astype(np.float32)
    if array.dtype == np.uint8:
        values = values * np.float32(2 / 255) - 1
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.where(length >= 0.5, values / np.maximum(length, np.float32(0.5)), np.float32(np.nan))


def _picture(path: Path, _: str) -> Map:
    with Image.open(path) as image:
        return np.asarray(image)


def _npy(path: Path, _: str) -> Map:
    return np.asarray(np.load(path, allow_pickle=False))


def _mat(path: Path, key: str) -> Map:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        return np.asarray(loadmat(path, variable_names=[key])[key])
    except MatReadError as fault:
        raise ValueError(str(fault)) from fault


READERS: Mapping[str, Callable[[Path, str], Map]] = {".npy": _npy, ".mat": _mat, ".png": _picture, ".jpg": _picture}


def _listed(layout: Layout, root: Path, part: str) -> tuple[str, ...]:
    path = root / layout.names.format(part)
    try:
        names = tuple(path.read_text().split())
    except (OSError, UnicodeDecodeError) as fault:
        raise UsageError(
            f"cannot read {path}", hint=f"{layout.title} lists its pictures there, one per line"
        ) from fault
    if not names:
        raise UsageError(f"{path} names no picture", hint="it has one name per line, without a suffix")
    return names


def _found(root: Path, places: Sequence[str], name: str) -> Path:
    paths = [root / place.format(name) for place in places]
    for path in paths:
        if path.is_file():
            return path
    raise UsageError(
        f"picture {name!r} is listed in {root}, but there is no {' or '.join(str(path) for path in paths)}",
        hint="unpack the whole data set, or take the name out of the list",
    )
