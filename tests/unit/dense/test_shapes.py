"""Rays cut shapes where walking along them in small steps does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge.dense.shapes import Ball, Box, Cone, Cylinder, Sheet

INSIDE = {
    Ball(0.7): lambda x, y, z: x * x + y * y + z * z < 0.49,
    Box((0.3, 0.5, 0.7)): lambda x, y, z: (abs(x) < 0.3) & (abs(y) < 0.5) & (abs(z) < 0.7),
    Cylinder(0.4, 0.6): lambda x, y, z: (x * x + z * z < 0.16) & (abs(y) < 0.6),
    Cone(0.5, 0.6): lambda x, y, z: (np.hypot(x, z) < 0.5 * (y + 0.6) / 1.2) & (abs(y) < 0.6),
}
"""Each solid, and whether a point is in it, said without rays."""

STEP = 2e-3


def rays(count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """From a point in front of and above the solid, at points around it."""
    start = np.array([[0.4], [-1.5], [-3.0]])
    return start, np.random.default_rng(0).uniform(-0.8, 0.8, (3, count)) - start


@pytest.mark.parametrize("shape", INSIDE, ids=lambda shape: type(shape).__name__)
def test_a_ray_is_cut_where_it_first_gets_inside(shape):
    start, ray = rays()
    cut = shape.distance(start, ray)
    steps = np.arange(0, 2, STEP)[:, None, None]
    inside = INSIDE[shape](*np.moveaxis(start + steps * ray, 1, 0))
    walked = np.where(inside.any(axis=0), steps[inside.argmax(axis=0), 0, 0], np.inf)
    hit = np.isfinite(walked)
    assert 50 < hit.sum() < 300
    assert (np.isfinite(cut) | ~hit).all()  # walking may step over a corner, and never finds more
    assert (np.isfinite(cut) & ~hit).sum() <= 3
    assert np.abs(walked[hit] - cut[hit]).max() <= STEP


@pytest.mark.parametrize("shape", INSIDE, ids=lambda shape: type(shape).__name__)
def test_a_step_along_the_normal_leaves_the_solid_and_one_against_it_enters(shape):
    start, ray = rays()
    cut = shape.distance(start, ray)
    points = (start + cut * ray)[:, np.isfinite(cut)]
    surface = shape.surface(points)
    np.testing.assert_allclose(np.linalg.norm(surface.normals, axis=0), 1, rtol=1e-12)
    assert not INSIDE[shape](*(points + 1e-5 * surface.normals)).any()
    assert INSIDE[shape](*(points - 1e-5 * surface.normals)).mean() > 0.99  # all but the rims
    assert ((surface.normals * ray[:, np.isfinite(cut)]).sum(axis=0) < 0).all()


@pytest.mark.parametrize("shape", INSIDE, ids=lambda shape: type(shape).__name__)
def test_a_ray_away_from_the_surface_is_not_cut_by_the_surface_that_it_starts_at(shape):
    start, ray = rays()
    cut = shape.distance(start, ray)
    points = (start + cut * ray)[:, np.isfinite(cut)]
    assert np.isinf(shape.distance(points, shape.surface(points).normals)).all()


def test_a_ball_is_cut_where_pythagoras_says():
    aside = np.linspace(0, 0.49, 8)
    start = np.stack((aside, np.zeros(8), np.full(8, -2.0)))
    cut = Ball(0.5).distance(start, np.array([[0.0], [0], [1]]) * np.ones(8))
    np.testing.assert_allclose(cut, 2 - np.sqrt(0.25 - aside**2), rtol=1e-12)


def test_a_sheet_ends_at_its_sides_and_is_seen_from_both():
    ray = np.array([[0.49, 0.51, 0.0, 0.0], [0.0, 0.0, 0.29, 0.31], [1.0] * 4])
    assert Sheet(0.5, 0.3).distance(np.array([[0.0], [0], [-1]]), ray).tolist() == [1, math.inf, 1, math.inf]
    assert Sheet().distance(np.array([[0.0], [0], [-1]]), ray).tolist() == [1] * 4


def test_the_faces_of_a_box_and_of_a_cylinder_have_numbers_of_their_own():
    faces = np.array([[0.3, 0, 0], [-0.3, 0, 0], [0, 0.5, 0], [0, -0.5, 0], [0, 0, 0.7], [0, 0, -0.7]]).T
    assert len(set(Box((0.3, 0.5, 0.7)).surface(faces).faces)) == 6
    assert len(set(Cylinder(0.4, 0.6).surface(np.array([[0.4, 0, 0], [0, 0.6, 0], [0, -0.6, 0]]).T).faces)) == 3
