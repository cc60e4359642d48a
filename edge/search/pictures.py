"""The pictures of a search: of those that may be trained on, four in five train the supernet and one in five judges networks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from edge.errors import UsageError
from edge.models.sources import usual_preprocess
from edge.preprocess import Preprocess
from edge.training.data import Dataset, Source, decode, find, split
from edge.training.start import from_scratch

MOST_UNREADABLE = 0.01
"""The share of pictures that may be unreadable: one in a hundred is an accident, more are a mistake in the folder."""
FEWEST = 2
"""Pictures of a class, without those held out for the end: one to train on and one to judge by."""
NAMED = 3


@dataclass(frozen=True, slots=True)
class SearchPictures:
    """Pictures that train the supernet, and the validation pictures that networks are judged by, cut by `preprocess`.

    Those that train are in an order drawn by the seed: the first few are of all classes. `fingerprint` changes when any of
    them does, or which of them are which.
    """

    training: Dataset
    validation: Dataset
    preprocess: Preprocess
    fingerprint: str

    @property
    def classes(self) -> tuple[str, ...]:
        return self.training.classes

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def unreadable(self) -> tuple[str, ...]:
        """The files that were left out."""
        return (*self.training.unreadable, *self.validation.unreadable)


def search_pictures(data: str, family: str, size: tuple[int, int], seed: int, *, workers: int = 1) -> SearchPictures:
    """The pictures of `data` at `size` (height, width), as a network of `family` takes them in its training later.

    What `find` holds out with this `seed` is not opened; `workers` threads decode the rest. Raises `UsageError` for pictures
    that cannot be split, and when more than one in a hundred cannot be read.
    """
    own = _split(find(data, seed), seed)
    preprocess = from_scratch(usual_preprocess(family, size), data)
    training, validation = (
        decode(samples, own.classes, preprocess, workers=workers) for samples in (own.training, own.held_out)
    )
    found = SearchPictures(training, validation, preprocess, own.fingerprint)
    _require_readable(found.unreadable, len(own.training) + len(own.held_out))
    return found


def _split(source: Source, seed: int) -> Source:
    """The training pictures of `source`, split once more, those to train on shuffled."""
    counts = Counter(sample.label for sample in source.training)
    for number, name in enumerate(source.classes):
        if counts[number] < FEWEST:
            raise UsageError(
                f"class {name!r} has {counts[number]} picture to search with, and needs {FEWEST}",
                hint="one to train on and one to judge networks by, beside those held out to the end: add pictures",
            )
    own = split(source.classes, source.training, seed)
    order = np.random.default_rng(seed).permutation(len(own.training))
    return replace(own, training=tuple(own.training[place] for place in order))


def _require_readable(unreadable: tuple[str, ...], count: int) -> None:
    if len(unreadable) > MOST_UNREADABLE * count:
        more = f" and {len(unreadable) - NAMED} more" if len(unreadable) > NAMED else ""
        raise UsageError(
            f"{len(unreadable)} of {count} pictures cannot be read: {', '.join(unreadable[:NAMED])}{more}",
            hint="replace them, or take them out of the folder; up to one in a hundred is passed over",
        )
