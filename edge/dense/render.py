"""What a pinhole camera sees of placed things, by one exact ray per pixel, and how bright it is.

World axes: the camera in the origin, x right, y straight down, z where the camera heads. Arrays are float64 (3, N), pixels
row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.dense.shapes import Floats, Shape
from edge.dense.textures import Texture

FACES = 8
"""No shape has more."""


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """A shape somewhere: `rotation` (3, 3) has its axes as columns, `centre` is (3,); `label` is its class."""

    shape: Shape
    rotation: Floats
    centre: Floats
    label: int
    texture: Texture

    def distance(self, start: Floats, ray: Floats) -> Floats:
        """As `Shape.distance`, in world axes."""
        return self.shape.distance(self.local(start), self.rotation.T @ ray)

    def local(self, points: Floats) -> Floats:
        """World points in the thing's own axes."""
        local: Floats = self.rotation.T @ (points - self.centre[:, None])
        return local


@dataclass(frozen=True, slots=True)
class Camera:
    """Looks down by `pitch` radians; `focal` and `size` (H, W) are in pixels, and the axis goes through the middle."""

    pitch: float
    focal: float
    size: tuple[int, int]

    @property
    def rotation(self) -> Floats:
        """Camera axes as columns (3, 3) in world axes."""
        sine, cosine = np.sin(self.pitch), np.cos(self.pitch)
        return np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]])

    def rays(self) -> Floats:
        """Through the middle of each pixel, as long as is one metre along the viewing axis."""
        height, width = self.size
        x = np.tile((np.arange(width) + 0.5 - width / 2) / self.focal, height)
        y = np.repeat((np.arange(height) + 0.5 - height / 2) / self.focal, width)
        rays: Floats = self.rotation @ np.stack((x, y, np.ones_like(x)))
        return rays


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What each ray meets: depth (N,), its point and unit normal (3, N), the number of the thing and of its surface (N,)."""

    depth: Floats
    points: Floats
    normals: Floats
    things: NDArray[np.int64]
    surfaces: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """A lamp at `position` (3,): `ambient` everywhere, and `strength` where its light falls straight."""

    position: Floats
    ambient: float
    strength: float


def look(things: Sequence[Thing], rays: Floats) -> View:
    """Follow every ray from the origin to the first thing; each must meet one."""
    origin = np.zeros((3, 1))
    cuts = np.stack([thing.distance(origin, rays) for thing in things])
    numbers = cuts.argmin(axis=0)
    depth = cuts[numbers, np.arange(len(numbers))]
    points = depth * rays
    normals, surfaces = np.empty_like(points), np.empty_like(numbers)
    for number in np.unique(numbers):
        here, thing = numbers == number, things[number]
        surface = thing.shape.surface(thing.local(points[:, here]))
        normals[:, here] = thing.rotation @ surface.normals
        surfaces[here] = number * FACES + surface.faces
    return View(depth, points, normals, numbers, surfaces)


def shade(view: View, things: Sequence[Thing], light: Light, casting: Sequence[Thing]) -> Floats:
    """Red, green and blue (3, N) of matt surfaces; those that `casting` hides from the lamp have the ambient light alone."""
    colours = np.empty_like(view.points)
    for number in np.unique(view.things):
        here = view.things == number
        colours[:, here] = things[number].texture.colours(things[number].local(view.points[:, here]))
    towards = light.position[:, None] - view.points
    falling = np.maximum((view.normals * towards).sum(axis=0), 0) / np.linalg.norm(towards, axis=0)
    hidden = np.any([thing.distance(view.points, towards) < 1 for thing in casting], axis=0)
    return colours * (light.ambient + light.strength * np.where(hidden, 0, falling))
