"""Rooms that are drawn at random and rendered with exact maps of every task: data for training with nothing to fetch.

Every map follows from the geometry alone, by one ray through the middle of each pixel.

- Edges: of two neighbouring pixels (left and right, above and below) that show different surfaces, the nearer one is an
  edge. The faces of a box, and the side and the top of a cylinder, are different surfaces; patterns and photographs have
  no edges.
- Saliency: the standing solid that covers the most pixels. It alone is painted in vivid colours, so that it stands out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edge.dense.data import Scene, SceneSource
from edge.dense.render import View, look, shade
from edge.dense.room import CLASSES, VIVID, Room, draw_room, texture
from edge.errors import UsageError
from edge.models.m3vit_config import CHANNELS, grid_of

SCENES = "scenes"
VERSION = 1
"""Raised with every change that alters a picture or a map."""

NOISE = 0.012
"""The deviation of a pixel of the picture from its colour, which is 0..1."""


@dataclass(frozen=True)
class Scenes(SceneSource):
    """Rooms `first` to `first + length` of an endless row that `seed` numbers, at `size` (H, W), multiples of 16.

    Sources of one seed whose numbers do not overlap have no room in common. Raises `UsageError` for an impossible size or
    for negative numbers.
    """

    size: tuple[int, int]
    seed: int
    first: int
    length: int
    tasks: tuple[str, ...] = field(default=tuple(CHANNELS), init=False)
    classes: tuple[str, ...] = field(default=CLASSES, init=False)

    def __post_init__(self) -> None:
        grid_of(self.size)
        if min(self.seed, self.first) < 0 or self.length < 1:
            raise UsageError(
                f"no scenes {self.first} to {self.first + self.length} of seed {self.seed}",
                hint="seed and first are 0 or more, length 1 or more",
            )

    @property
    def fingerprint(self) -> str:  # type: ignore[override]
        height, width = self.size
        return f"{SCENES} {VERSION}: {self.first}+{self.length} of seed {self.seed} at {height}x{width}"

    def __len__(self) -> int:
        return self.length

    def scene(self, index: int) -> Scene:
        """The room of that number, counted from `first`. Raises `IndexError` beyond the last."""
        if not 0 <= index < self.length:
            raise IndexError(f"scene {index} of {self.length}")
        draw = np.random.default_rng((self.seed, self.first + index))
        room = draw_room(draw, self.size)
        view = look(room.things, room.camera.rays())
        salient = _largest(view, room)
        return Scene(self._picture(draw, room, view, salient), self._maps(room, view, salient))

    def _picture(self, draw: np.random.Generator, room: Room, view: View, salient: int) -> NDArray[np.uint8]:
        things = list(room.things)
        things[salient] = replace(things[salient], texture=texture(draw, VIVID))
        colours = shade(view, things, room.light, things[room.standing])
        noisy = colours.T.reshape(*self.size, 3) + draw.normal(0, NOISE, (*self.size, 3))
        return np.clip(np.rint(255 * noisy), 0, 255).astype(np.uint8)

    def _maps(self, room: Room, view: View, salient: int) -> dict[str, NDArray[np.generic]]:
        labels = np.array([thing.label for thing in room.things], np.uint8)
        normals = room.camera.rotation.T @ view.normals
        depth = view.depth.reshape(self.size)
        return {
            "seg": labels[view.things].reshape(self.size),
            "depth": depth.astype(np.float32),
            "normals": normals.T.reshape(*self.size, 3).astype(np.float32),
            "edges": _edges(view.surfaces.reshape(self.size), depth),
            "saliency": (view.things == salient).reshape(self.size).astype(np.uint8),
        }


def _largest(view: View, room: Room) -> int:
    """The number of the standing thing that covers the most pixels; of two, the first."""
    covered = np.bincount(view.things, minlength=len(room.things))
    return room.standing.start + int(covered[room.standing].argmax())


def _edges(surfaces: NDArray[np.int64], depth: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Between different surfaces, the nearer pixel; of two as near, the left or upper one."""
    edges = np.zeros(surfaces.shape, np.uint8)
    for one, other in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ):
        changes = surfaces[one] != surfaces[other]
        nearer = depth[one] <= depth[other]
        edges[one] |= changes & nearer
        edges[other] |= changes & ~nearer
    return edges
