"""Labelled pictures: scikit-learn's handwritten digits, or a folder with one sub-folder per class."""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge.errors import PictureError, UsageError
from edge.preprocess import Preprocess, load_picture

DIGITS = "digits"
DIGITS_LICENCE = "CC BY 4.0 (UCI Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak)"
DIGITS_LEVELS = 16
"""Scikit-learn's digits count the dark points of 4x4 cells: 0 to 16, as 8x8 pictures."""

HELD_OUT = 0.2
"""The share of each class that is not trained on, where the folder does not say which."""

IN_MEMORY = 2 << 30
"""Bytes of decoded pictures that are kept in memory; more of them lie in a temporary file."""

Pictures = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Pictures uint8 (N, H, W, 3) with the class number of each, int64 (N,); `unreadable` names the files left out."""

    pictures: Pictures
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture that is not decoded yet. `mark` tells it from its neighbours, and changes when its file does."""

    label: int
    mark: str
    load: Callable[[], Image.Image]


@dataclass(frozen=True, slots=True)
class Source:
    """Which pictures are trained on, and which are held out to measure accuracy."""

    classes: tuple[str, ...]
    training: tuple[Sample, ...]
    held_out: tuple[Sample, ...]

    @property
    def fingerprint(self) -> str:
        """The sha256 over the classes and the marks of all pictures, and over which of them are held out."""
        training = (f"training {sample.label} {sample.mark}" for sample in self.training)
        held_out = (f"held out {sample.label} {sample.mark}" for sample in self.held_out)
        return hashlib.sha256(
            "\n".join((*self.classes, *training, *held_out)).encode(errors="surrogateescape")
        ).hexdigest()


def find(data: str, seed: int) -> Source:
    """The pictures that `data` names: `digits`, or a folder of one sub-folder per class, perhaps below `train` and `val`.

    Without `train` and `val`, one in five of each class is held out, drawn by `seed`. Raises `UsageError`.
    """
    if data == DIGITS:
        return split(tuple(str(digit) for digit in range(10)), _digits(), seed)
    folder = Path(data)
    if not folder.is_dir():
        raise UsageError(
            f"no folder {data}", hint=f"give {DIGITS!r}, or a folder with one sub-folder of pictures per class"
        )
    if not ((folder / "train").is_dir() and (folder / "val").is_dir()):
        classes = _classes(folder)
        return split(classes, _samples(folder, classes), seed)
    classes = _classes(folder / "train")
    if strange := sorted(set(_folders(folder / "val")) - set(classes)):
        raise UsageError(
            f"{folder / 'val'} has classes that train has not: {', '.join(strange[:3])}", hint="name them alike"
        )
    return Source(classes, _samples(folder / "train", classes), _samples(folder / "val", classes))


def split(classes: tuple[str, ...], samples: tuple[Sample, ...], seed: int) -> Source:
    """One in five of each class held out, drawn by `seed`. Raises `UsageError` for a class of one picture."""
    draw = np.random.default_rng(seed)
    labels = np.array([sample.label for sample in samples])
    held = np.zeros(len(samples), bool)
    for number, name in enumerate(classes):
        members = draw.permutation(np.flatnonzero(labels == number))
        if len(members) < 2:
            raise UsageError(f"class {name!r} has one picture", hint="give two or more, so that one can be held out")
        held[members[: max(1, round(HELD_OUT * len(members)))]] = True
    training = tuple(sample for sample, out in zip(samples, held, strict=True) if not out)
    return Source(classes, training, tuple(sample for sample, out in zip(samples, held, strict=True) if out))


def decode(samples: Sequence[Sample], classes: tuple[str, ...], preprocess: Preprocess, *, workers: int = 1) -> Dataset:
    """Load, resize and crop every picture, in order; `workers` threads share the work.

    Files that are no pictures are left out and named. Raises `UsageError` for a class of which nothing is left.
    """
    shape = (len(samples), preprocess.height, preprocess.width, 3)
    pictures = room(shape, np.dtype(np.uint8))
    labels: list[int] = []
    unreadable: list[str] = []
    with ThreadPoolExecutor(workers) as threads:
        for sample, picture in zip(samples, threads.map(partial(_decoded, preprocess), samples), strict=True):
            if picture is None:
                unreadable.append(sample.mark.rpartition(" ")[0])
                continue
            pictures[len(labels)] = picture
            labels.append(sample.label)
    for number in sorted({sample.label for sample in samples} - set(labels)):
        raise UsageError(f"no picture of class {classes[number]!r} can be read", hint="give PNG, JPEG or WebP files")
    return Dataset(pictures[: len(labels)], np.array(labels, np.int64), classes, tuple(unreadable))


def held_out(data: str, preprocess: Preprocess, seed: int) -> Dataset:
    """The pictures that a run with this `seed` was not trained on, as `preprocess` cuts them. Raises `UsageError`."""
    source = find(data, seed)
    return decode(source.held_out, source.classes, preprocess)


def _digits() -> tuple[Sample, ...]:
    from sklearn.datasets import load_digits

    found = load_digits()
    scans = np.round(found.images * (255 / DIGITS_LEVELS)).astype(np.uint8)
    return tuple(
        Sample(int(digit), f"{number} {scan.tobytes().hex()}", partial(_scan, scan))
        for number, (scan, digit) in enumerate(zip(scans, found.target, strict=True))
    )


def _scan(scan: Pictures) -> Image.Image:
    return Image.fromarray(scan).convert("RGB")


def _folders(folder: Path) -> Iterator[str]:
    return (entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _classes(folder: Path) -> tuple[str, ...]:
    classes = tuple(sorted(_folders(folder)))
    if len(classes) < 2:
        raise UsageError(
            f"{folder} has {len(classes)} sub-folders, and a classifier needs two classes",
            hint="make one sub-folder of pictures per class",
        )
    return classes


def _samples(folder: Path, classes: Sequence[str]) -> tuple[Sample, ...]:
    found = []
    for number, name in enumerate(classes):
        files = sorted(file for file in (folder / name).rglob("*") if file.is_file() and not file.name.startswith("."))
        if not files:
            raise UsageError(
                f"there are no pictures of class {name!r} in {folder / name}", hint="add some, or remove the folder"
            )
        found += [_sample(number, file, folder) for file in files]
    return tuple(found)


def _sample(label: int, file: Path, folder: Path) -> Sample:
    return Sample(label, f"{file.relative_to(folder)} {file.stat().st_size}", partial(load_picture, file))


def _decoded(preprocess: Preprocess, sample: Sample) -> Pictures | None:
    try:
        return preprocess.picture(sample.load())
    except PictureError:
        return None


def room(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array to be filled: in memory, or, above `IN_MEMORY`, in a temporary file that goes when the array does."""
    size = math.prod(shape) * dtype.itemsize
    if size <= IN_MEMORY:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:
        os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error now, not a crash in the middle
        return np.memmap(file, dtype, "r+", shape=shape)
