"""Light falls as it does in a small scene that can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge.dense.render import Camera, Light, Thing, look, shade
from edge.dense.shapes import Ball, Sheet
from edge.dense.textures import Painted, Photograph, checker, clouds, photographs, plain, stripes

UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""The axes of a floor: its -z, which is seen, points up."""
WHITE, BLACK = np.ones(3), np.zeros(3)

CAMERA = Camera(pitch=math.radians(60), focal=16, size=(32, 32))
FLOOR = Thing(Sheet(), UP, np.array([0, 2.0, 0]), 1, Painted(plain, WHITE, BLACK))
BALL = Thing(Ball(0.25), np.eye(3), np.array([0, 1.5, 1.0]), 2, Painted(plain, 0.5 * WHITE, BLACK))
LAMP = Light(np.array([0, -1.0, 1.0]), ambient=0.25, strength=0.5)
"""Straight above the ball, three metres above the floor."""


def test_a_camera_that_looks_down_sees_the_floor_at_its_distance():
    view = look([FLOOR], CAMERA.rays())
    np.testing.assert_allclose(view.points[1], 2)
    axis = view.depth.reshape(32, 32)[15:17, 15:17].mean()
    assert axis == pytest.approx(2 / math.sin(math.radians(60)), rel=1e-2)
    assert view.depth.reshape(32, 32)[0, 0] > view.depth.reshape(32, 32)[-1, 0]


def test_the_floor_is_lit_by_the_cosine_of_the_angle():
    view = look([FLOOR], CAMERA.rays())
    towards = LAMP.position[:, None] - view.points
    cosine = 3 / np.linalg.norm(towards, axis=0)
    np.testing.assert_allclose(shade(view, [FLOOR], LAMP, []), np.tile(0.25 + 0.5 * cosine, (3, 1)), rtol=1e-12)


def test_the_shadow_of_a_ball_is_the_disc_that_similar_triangles_give():
    """The lamp is 2.5 m above the ball's centre, so its cone has sine 0.25 / 2.5, and 3 m below it reads 3·tan."""
    view = look([FLOOR, BALL], CAMERA.rays())
    colours = shade(view, [FLOOR, BALL], LAMP, [BALL])
    floor = view.things == 0
    from_axis = np.hypot(view.points[0], view.points[2] - 1)[floor]
    shadow = from_axis < 3 * math.tan(math.asin(0.25 / 2.5))
    assert shadow.any()
    dark = colours[0, floor] == 0.25
    assert (dark == shadow).all()


def test_the_side_of_a_ball_that_is_away_from_the_lamp_has_the_ambient_light_alone():
    view = look([FLOOR, BALL], CAMERA.rays())
    colours = shade(view, [FLOOR, BALL], LAMP, [BALL])
    away = (view.things == 1) & (((LAMP.position[:, None] - view.points) * view.normals).sum(axis=0) <= 0)
    lit = (view.things == 1) & ~away
    assert lit.any()
    np.testing.assert_allclose(colours[:, away], 0.5 * 0.25)
    assert colours[:, lit].min() > 0.5 * 0.25  # a solid does not shade its own lit side


def test_a_photograph_hangs_upright_and_unmirrored():
    picture = np.array([[[1.0, 0, 0], [0, 1, 0]], [[0, 0, 1], [1, 1, 1]]])
    frame = Thing(Sheet(0.5, 0.4), np.eye(3), np.array([0, 0, 2.0]), 6, Photograph(picture, 0.5, 0.4))
    rays = np.array([[-0.2, 0.2, -0.2, 0.2], [-0.15, -0.15, 0.15, 0.15], [1.0] * 4])
    colours = shade(look([frame], rays), [frame], Light(np.zeros(3), 1, 0), [])
    assert colours.T.tolist() == picture.reshape(4, 3).tolist()


def test_the_nearer_of_two_things_is_seen():
    behind = Thing(Ball(0.25), np.eye(3), np.array([0, 0, 3.0]), 2, BALL.texture)
    before = Thing(Ball(0.1), np.eye(3), np.array([0, 0, 1.0]), 2, BALL.texture)
    view = look([behind, before], np.array([[0.0], [0.0], [1.0]]))
    assert view.things.tolist() == [1]
    assert view.depth[0] == pytest.approx(0.9)
    np.testing.assert_allclose(view.normals[:, 0], [0, 0, -1], atol=1e-12)


def test_patterns_repeat_after_two_periods_and_change_after_one():
    points = np.random.default_rng(0).uniform(-2, 2, (3, 200))
    along = np.array([[0.3], [0], [0]])
    for pattern in (checker(0.3, np.array([0.11, 0.13, 0.17])), stripes(0.3, np.array([1.0, 0, 0]))):
        assert set(pattern(points)) == {0, 1}
        assert (pattern(points + along) == 1 - pattern(points)).mean() > 0.99  # but for rounding at a border
        assert (pattern(points + 2 * along) == pattern(points)).mean() > 0.99


def test_clouds_are_smooth_and_within_the_two_colours():
    pattern = clouds(np.random.default_rng(1).normal(0, 5, (3, 3)))
    points = np.random.default_rng(2).uniform(-2, 2, (3, 500))
    assert pattern(points).min() >= 0
    assert pattern(points).max() <= 1
    assert np.ptp(pattern(points)) > 0.5
    assert np.abs(pattern(points + 1e-4) - pattern(points)).max() < 0.05


def test_the_photographs_are_those_of_scikit_learn():
    from sklearn.datasets import load_sample_image

    for name, small in zip(("china.jpg", "flower.jpg"), photographs(), strict=True):
        assert small.shape == (107, 160, 3)
        np.testing.assert_allclose(small.mean(axis=(0, 1)), load_sample_image(name).mean(axis=(0, 1)) / 255, atol=5e-3)
