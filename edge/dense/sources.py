"""From the name of a data set to the scenes that a network is trained on and those that it is measured by."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from edge.dense.data import SceneSource
from edge.dense.folder import opened
from edge.dense.nyud import NYUD
from edge.dense.pascal import PASCAL
from edge.dense.scenes import SCENES, Scenes
from edge.errors import UsageError

LAYOUTS = (NYUD, PASCAL)

FIRST_HELD_OUT = 1_000_000
"""The number of the first room that nothing is trained on, the same however many others are."""


class Sources(NamedTuple):
    """Scenes to train on, and others to measure by."""

    training: SceneSource
    held_out: SceneSource


def find(data: str, size: tuple[int, int], *, seed: int = 0, training: int = 4096, held_out: int = 512) -> Sources:
    """The scenes that `data` names, at `size` (H, W): `scenes`, or a folder of NYUD-v2 or PASCAL-Context.

    `seed`, `training` and `held_out` choose and count the rooms of `scenes`; a folder has lists of its own. Raises
    `UsageError`.
    """
    if data == SCENES:
        if training > FIRST_HELD_OUT:
            raise UsageError(f"{training} scenes are too many", hint=f"train on {FIRST_HELD_OUT} at most")
        return Sources(Scenes(size, seed, 0, training), Scenes(size, seed, FIRST_HELD_OUT, held_out))
    folder = Path(data)
    for layout in LAYOUTS:
        if layout.fits(folder):
            return Sources(*(opened(layout, folder, part, size) for part in ("train", "val")))
    accepted = (
        f"{layout.title}, with {layout.pictures.format('*')} and {layout.names.format('train')}" for layout in LAYOUTS
    )
    raise UsageError(
        f"{data} is no folder of scenes with a map per task" if folder.is_dir() else f"no folder {data}",
        hint=f"give {SCENES!r}, or a folder of {'; or of '.join(accepted)}",
    )
