"""Solids and sheets that a ray is cut with exactly, each in axes of its own (y down), around its centre, in metres.

Points and directions are float64 (3, N). Seen from outside, each solid is convex, so that its first cut is its surface.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NEAREST = 1e-6
"""A cut at less than this many lengths of the ray is the point that the ray starts at."""

a_parallel_ray_is_no_fault = np.errstate(divide="ignore", invalid="ignore")
"""It meets a plane at infinity, or nowhere, which comparisons then take for a miss."""


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """What a point lies on: the unit normal (3, N), outwards, and the number of the face (N,), 0..7."""

    normals: Floats
    faces: NDArray[np.int64]


class Shape(ABC):
    """Something that rays hit."""

    @abstractmethod
    def distance(self, start: Floats, ray: Floats) -> Floats:
        """By how many lengths of `ray` (3, N) its first cut lies from `start` (3, N) or (3, 1); infinite if it misses."""

    @abstractmethod
    def surface(self, points: Floats) -> Surface:
        """The surface at points that lie on it."""


@dataclass(frozen=True, slots=True)
class Ball(Shape):
    """A sphere."""

    radius: float

    @a_parallel_ray_is_no_fault
    def distance(self, start: Floats, ray: Floats) -> Floats:
        return _entered(*_between(_dot(ray, ray), _dot(start, ray), _dot(start, start) - self.radius**2))

    def surface(self, points: Floats) -> Surface:
        return Surface(points / self.radius, _one_face(points))


@dataclass(frozen=True, slots=True)
class Box(Shape):
    """A cuboid, by half its sides along x, y and z."""

    half: tuple[float, float, float]

    @a_parallel_ray_is_no_fault
    def distance(self, start: Floats, ray: Floats) -> Floats:
        half = np.array(self.half)[:, None]
        one, other = (-half - start) / ray, (half - start) / ray
        return _entered(np.minimum(one, other).max(axis=0), np.maximum(one, other).min(axis=0))

    def surface(self, points: Floats) -> Surface:
        axis = (np.abs(points) / np.array(self.half)[:, None]).argmax(axis=0)
        each = np.arange(points.shape[1])
        side = np.sign(points[axis, each])
        normals = np.zeros_like(points)
        normals[axis, each] = side
        return Surface(normals, 2 * axis + (side > 0))


@dataclass(frozen=True, slots=True)
class Cylinder(Shape):
    """An upright cylinder."""

    radius: float
    half_height: float

    @a_parallel_ray_is_no_fault
    def distance(self, start: Floats, ray: Floats) -> Floats:
        (ox, oy, oz), (x, y, z) = start, ray
        round_in, round_out = _between(x * x + z * z, ox * x + oz * z, ox * ox + oz * oz - self.radius**2)
        one, other = (-self.half_height - oy) / y, (self.half_height - oy) / y
        entry = np.maximum(round_in, np.minimum(one, other))
        return _entered(entry, np.minimum(round_out, np.maximum(one, other)))

    def surface(self, points: Floats) -> Surface:
        x, y, z = points
        capped = np.abs(y) / self.half_height > np.hypot(x, z) / self.radius
        flat, side = np.zeros_like(x), np.sign(y)
        normals = np.where(capped, np.stack((flat, side, flat)), np.stack((x, flat, z)) / self.radius)
        return Surface(normals, np.where(capped, np.where(side < 0, 1, 2), 0))


@dataclass(frozen=True, slots=True)
class Cone(Shape):
    """An upright cone that stands on its base, which nobody sees: only its side is a surface."""

    radius: float
    half_height: float

    @a_parallel_ray_is_no_fault
    def distance(self, start: Floats, ray: Floats) -> Floats:
        (ox, oy, oz), (x, y, z) = start, ray
        below, squared = oy + self.half_height, self.slope**2
        cuts = _between(
            x * x + z * z - squared * y * y,
            ox * x + oz * z - squared * below * y,
            ox * ox + oz * oz - squared * below * below,
        )
        first, second = (np.where(self._on_side(below + cut * y) & (cut > NEAREST), cut, np.inf) for cut in cuts)
        return np.minimum(first, second)

    def _on_side(self, depths: Floats) -> NDArray[np.bool_]:
        """Whether points that far below the tip are above the base, and not on the cone's image above the tip."""
        return (depths > 0) & (depths < 2 * self.half_height)

    @property
    def slope(self) -> float:
        """Radius per height."""
        return self.radius / (2 * self.half_height)

    def surface(self, points: Floats) -> Surface:
        x, _, z = points
        length = math.hypot(1, self.slope)
        around = np.maximum(np.hypot(x, z), 1e-12)
        normals = np.stack((x / around, np.full_like(x, -self.slope), z / around)) / length
        return Surface(normals, _one_face(points))


@dataclass(frozen=True, slots=True)
class Sheet(Shape):
    """An upright rectangle without thickness, seen from -z; walls and floors are infinite ones."""

    half_width: float = math.inf
    half_height: float = math.inf

    @a_parallel_ray_is_no_fault
    def distance(self, start: Floats, ray: Floats) -> Floats:
        cut = -start[2] / ray[2]
        x, y, _ = start + cut * ray
        hit = (cut > NEAREST) & (np.abs(x) <= self.half_width) & (np.abs(y) <= self.half_height)
        return np.where(hit, cut, np.inf)

    def surface(self, points: Floats) -> Surface:
        return Surface(np.broadcast_to(np.array([[0.0], [0.0], [-1.0]]), points.shape), _one_face(points))


def _between(a: Floats, b: Floats, c: Floats) -> tuple[Floats, Floats]:
    """Both roots t of a·t² + 2b·t + c = 0, for a > 0 the smaller first; NaN where there are none."""
    root = np.sqrt(b * b - a * c)
    return (-b - root) / a, (-b + root) / a


def _entered(entry: Floats, leave: Floats) -> Floats:
    return np.where((entry < leave) & (entry > NEAREST), entry, np.inf)  # a NaN is no hit


def _dot(one: Floats, other: Floats) -> Floats:
    x, y, z = one * other
    total: Floats = x + y + z
    return total


def _one_face(points: Floats) -> NDArray[np.int64]:
    return np.zeros(points.shape[1], np.int64)
