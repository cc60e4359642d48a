"""Draws a room at random: walls, a floor, photographs on the walls, and solids that stand about."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge.dense.render import Camera, Light, Thing
from edge.dense.shapes import Ball, Box, Cone, Cylinder, Floats, Shape, Sheet
from edge.dense.textures import Painted, Pattern, Photograph, checker, clouds, photographs, plain, stripes

CLASSES = ("wall", "floor", "sphere", "box", "cylinder", "cone", "picture")
WALL, FLOOR, SPHERE, BOX, CYLINDER, CONE, PICTURE = range(len(CLASSES))

MUTED, VIVID = (0.0, 0.4), (0.85, 1.0)
"""The saturations of everything, and of the one thing that is to stand out."""

Draw = np.random.Generator


@dataclass(frozen=True, slots=True)
class Solid:
    """A shape before it is placed, with half its height and the radius of the circle that it stands in, in metres."""

    shape: Shape
    half_height: float
    reach: float


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """Everything there is to see; only `things[standing]` throw shadows and can stand out."""

    things: tuple[Thing, ...]
    standing: slice
    camera: Camera
    light: Light


def draw_room(draw: Draw, size: tuple[int, int]) -> Room:
    """A room seen at `size` (H, W), in which every ray meets something and a solid stands near the middle of the view."""
    focal = draw.uniform(0.8, 1.1) * max(size)
    height = draw.uniform(1.1, 1.7)
    walls = _walls(draw, height)
    standing = _furniture(draw, walls[1:], height, focal, size)
    _, down, ahead = standing[0].centre
    leaning = draw.uniform(0, 0.5) * math.atan(size[0] / 2 / focal)
    camera = Camera(math.atan2(down, ahead) - leaning, focal, size)
    pictures = _pictures(draw, walls[1:], height, camera)
    things = (*walls, *standing, *pictures)
    return Room(things, slice(len(walls), len(walls) + len(standing)), camera, _lamp(draw))


def texture(draw: Draw, saturation: tuple[float, float]) -> Painted:
    """Two colours of a saturation between the given ones, in some pattern."""
    one, other = (_colour(draw, saturation) for _ in range(2))
    return Painted(PATTERNS[draw.integers(len(PATTERNS))](draw), one, other)


def _walls(draw: Draw, height: float) -> tuple[Thing, ...]:
    """The floor, then the left, far and right walls of a room that the camera, `height` above the floor, stands askew in."""
    askew = draw.uniform(-0.5, 0.5)
    floor = Thing(Sheet(), _tilted(), np.array([0, height, 0]), FLOOR, texture(draw, MUTED))
    paint = texture(draw, MUTED)
    walls = []
    for turn, nearest, farthest in ((-math.pi / 2, 2.8, 5), (0, 4.5, 8), (math.pi / 2, 2.8, 5)):
        rotation = _turned(askew + turn)
        walls.append(Thing(Sheet(), rotation, rotation @ [0, 0, draw.uniform(nearest, farthest)], WALL, paint))
    return (floor, *walls)


def _furniture(
    draw: Draw, walls: Sequence[Thing], height: float, focal: float, size: tuple[int, int]
) -> tuple[Thing, ...]:
    """Two to seven solids in sight, none in another or in a wall; the first is near the middle of the picture."""
    wide = size[1] / 2 / focal
    placed: list[tuple[Thing, float]] = []
    for number in range(draw.integers(3, 8)):
        label = int(draw.integers(SPHERE, CONE + 1))
        solid = SOLIDS[label](draw)
        ahead = draw.uniform(1.8, 6.5) if number else draw.uniform(2.4, 3.5)
        aside = ahead * wide * (draw.uniform(-1, 1) if number else draw.uniform(-0.3, 0.3))
        centre = np.array([aside, height - solid.half_height, ahead])
        apart = all(math.dist(centre[::2], thing.centre[::2]) > solid.reach + reach for thing, reach in placed)
        if apart and all(_before(wall, centre) > solid.reach for wall in walls):
            turned = _turned(draw.uniform(0, 2 * math.pi))
            placed.append((Thing(solid.shape, turned, centre, label, texture(draw, MUTED)), solid.reach))
    return tuple(thing for thing, _ in placed)


def _pictures(draw: Draw, walls: Sequence[Thing], height: float, camera: Camera) -> tuple[Thing, ...]:
    """Up to three framed photographs where rays through the upper half of the picture meet a wall above the floor."""
    rays = camera.rays()
    found = []
    for number in range(draw.integers(1, 4)):
        half_width, half_height = draw.uniform(0.3, 0.9, 2)
        ray = rays[:, [draw.integers(rays.shape[1] // 2)]]
        cuts = [float(wall.distance(np.zeros((3, 1)), ray)[0]) for wall in walls]
        wall = walls[int(np.argmin(cuts))]
        point = min(cuts) * ray[:, 0]
        photograph = Photograph(_crop(draw), half_width, half_height)
        if point[1] + half_height < height - 0.1:
            off_wall = wall.rotation @ [0, 0, -0.02 * (number + 1)]  # the later one hangs in front of the earlier
            shape = Sheet(half_width, half_height)
            found.append(Thing(shape, wall.rotation, point + off_wall, PICTURE, photograph))
    return tuple(found)


def _crop(draw: Draw) -> Floats:
    """A part of a photograph, half of the time mirrored."""
    whole = photographs()[draw.integers(len(photographs()))]
    height, width = (int(draw.uniform(0.4, 1) * side) for side in whole.shape[:2])
    top, left = draw.integers(whole.shape[0] - height + 1), draw.integers(whole.shape[1] - width + 1)
    part = whole[top : top + height, left : left + width]
    return part[:, :: draw.choice([-1, 1])]


def _lamp(draw: Draw) -> Light:
    ambient = draw.uniform(0.3, 0.55)
    position = np.array([draw.uniform(-1.5, 1.5), draw.uniform(-2.5, -1), draw.uniform(-0.5, 2.5)])
    return Light(position, ambient, draw.uniform(0.9, 1.15) - ambient)


def _ball(draw: Draw) -> Solid:
    radius = draw.uniform(0.25, 0.6)
    return Solid(Ball(radius), radius, radius)


def _box(draw: Draw) -> Solid:
    x, y, z = draw.uniform([0.2, 0.2, 0.2], [0.5, 0.6, 0.5])
    return Solid(Box((x, y, z)), y, math.hypot(x, z))


def _cylinder(draw: Draw) -> Solid:
    radius, half_height = draw.uniform([0.18, 0.2], [0.45, 0.7])
    return Solid(Cylinder(radius, half_height), half_height, radius)


def _cone(draw: Draw) -> Solid:
    radius, half_height = draw.uniform([0.25, 0.25], [0.5, 0.7])
    return Solid(Cone(radius, half_height), half_height, radius)


SOLIDS: Mapping[int, Callable[[Draw], Solid]] = {SPHERE: _ball, BOX: _box, CYLINDER: _cylinder, CONE: _cone}

PATTERNS: tuple[Callable[[Draw], Pattern], ...] = (
    lambda _: plain,
    lambda draw: checker(draw.uniform(0.15, 0.6), draw.uniform(0, 1, 3)),
    lambda draw: stripes(draw.uniform(0.1, 0.4), _direction(draw)),
    lambda draw: clouds(draw.normal(0, 5, (3, 3))),
)


def _direction(draw: Draw) -> Floats:
    vector = draw.normal(size=3)
    unit: Floats = vector / np.linalg.norm(vector)
    return unit


def _colour(draw: Draw, saturation: tuple[float, float]) -> Floats:
    return np.array(colorsys.hsv_to_rgb(draw.uniform(), draw.uniform(*saturation), draw.uniform(0.35, 0.95)))


def _turned(angle: float) -> Floats:
    """Axes turned about the vertical: z to the right by `angle` radians."""
    sine, cosine = math.sin(angle), math.cos(angle)
    return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])


def _tilted() -> Floats:
    """Axes whose z points down, so that a sheet lies and is seen from above."""
    return np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def _before(wall: Thing, point: Floats) -> float:
    """Metres from a point to the wall, into the room."""
    return -float(wall.local(point[:, None])[2, 0])
