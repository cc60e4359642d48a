"""Rooms drawn at random have maps that agree with each other and with geometry."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from edge.dense.data import Scene
from edge.dense.render import FACES, look
from edge.dense.room import CLASSES, draw_room
from edge.dense.scenes import Scenes
from edge.dense.shapes import Ball
from edge.errors import UsageError
from edge.models.m3vit_config import CHANNELS

SOURCE = Scenes((64, 80), seed=3, first=0, length=100)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [SOURCE.scene(index) for index in range(len(SOURCE))]


@cache
def room_and_view(index: int):
    """What scene `index` of the source is rendered from."""
    room = draw_room(np.random.default_rng((SOURCE.seed, index)), SOURCE.size)
    return room, look(room.things, room.camera.rays())


def same(one: Scene, other: Scene) -> bool:
    pictures = one.picture.tobytes() == other.picture.tobytes()
    return pictures and all(one.maps[task].tobytes() == other.maps[task].tobytes() for task in CHANNELS)


def test_every_map_has_its_promised_shape_and_type(scenes):
    wanted = {
        "seg": (np.uint8, (64, 80)),
        "depth": (np.float32, (64, 80)),
        "normals": (np.float32, (64, 80, 3)),
        "edges": (np.uint8, (64, 80)),
        "saliency": (np.uint8, (64, 80)),
    }
    assert SOURCE.tasks == tuple(CHANNELS)
    for scene in scenes[:3]:
        assert (scene.picture.dtype, scene.picture.shape) == (np.uint8, (64, 80, 3))
        assert {task: (found.dtype, found.shape) for task, found in scene.maps.items()} == wanted


def test_the_same_number_is_the_same_scene_and_another_is_not():
    assert same(SOURCE.scene(5), Scenes((64, 80), seed=3, first=5, length=1).scene(0))
    assert not same(SOURCE.scene(5), SOURCE.scene(6))
    assert not same(SOURCE.scene(5), Scenes((64, 80), seed=4, first=0, length=9).scene(5))


def test_no_two_of_a_hundred_rooms_are_alike(scenes):
    assert len({scene.picture.tobytes() for scene in scenes}) == len(scenes)


def test_the_fingerprint_changes_with_whatever_changes_a_scene():
    others = (Scenes((64, 64), 3, 0, 100), Scenes((64, 80), 4, 0, 100), Scenes((64, 80), 3, 1, 100))
    assert len({SOURCE.fingerprint, *(other.fingerprint for other in others)}) == 4


def test_depth_is_known_everywhere_and_within_a_room(scenes):
    depth = np.stack([scene.maps["depth"] for scene in scenes])
    assert np.isfinite(depth).all()
    assert depth.min() > 0.3
    assert depth.max() < 25


def test_normals_are_unit_vectors_that_face_the_camera(scenes):
    for index, scene in enumerate(scenes):
        normals = scene.maps["normals"].astype(np.float64)
        room, _ = room_and_view(index)
        rays = (room.camera.rotation.T @ room.camera.rays()).T.reshape(64, 80, 3)
        np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-6)
        assert (normals * rays).sum(axis=-1).max() < 1e-6


def test_normals_are_those_of_the_surface_through_the_neighbours_depths():
    """Three neighbours on one flat surface span it: their cross product is its normal, to the rounding of float32."""
    checked = 0
    for index in range(20):
        room, view = room_and_view(index)
        maps = SOURCE.scene(index).maps
        rays = (room.camera.rotation.T @ room.camera.rays()).T.reshape(64, 80, 3)
        points = maps["depth"][..., None].astype(np.float64) * rays
        across = np.cross(points[1:, :-1] - points[:-1, :-1], points[:-1, 1:] - points[:-1, :-1])
        across /= np.linalg.norm(across, axis=-1, keepdims=True)
        surfaces = view.surfaces.reshape(64, 80)
        flat = np.isin(maps["seg"], [CLASSES.index(name) for name in ("wall", "floor", "box", "picture")])[:-1, :-1]
        flat &= (surfaces[1:, :-1] == surfaces[:-1, :-1]) & (surfaces[:-1, 1:] == surfaces[:-1, :-1])
        assert (across * maps["normals"][:-1, :-1]).sum(axis=-1)[flat].min() > 0.9999
        checked += flat.sum()
    assert checked > 50_000


def test_normals_of_curved_solids_are_near_those_of_the_neighbours_depths():
    """On a curved surface the plane through neighbours on both sides leans a little; more pixels, less so."""
    source = Scenes((256, 256), seed=3, first=0, length=8)
    angles = []
    for index in range(8):
        room = draw_room(np.random.default_rng((3, index)), source.size)
        view, maps = look(room.things, room.camera.rays()), source.scene(index).maps
        rays = (room.camera.rotation.T @ room.camera.rays()).T.reshape(256, 256, 3)
        points = maps["depth"][..., None].astype(np.float64) * rays
        across = np.cross(points[2:, 1:-1] - points[:-2, 1:-1], points[1:-1, 2:] - points[1:-1, :-2])
        across /= np.linalg.norm(across, axis=-1, keepdims=True)
        surfaces = view.surfaces.reshape(256, 256)
        centre = surfaces[1:-1, 1:-1]
        inner = np.isin(maps["seg"][1:-1, 1:-1], [CLASSES.index(name) for name in ("sphere", "cylinder", "cone")])
        for other in (surfaces[2:, 1:-1], surfaces[:-2, 1:-1], surfaces[1:-1, 2:], surfaces[1:-1, :-2]):
            inner &= other == centre
        cosine = (across * maps["normals"][1:-1, 1:-1]).sum(axis=-1)[inner]
        angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    together = np.concatenate(angles)
    assert together.size > 5_000
    assert np.median(together) < 1
    assert np.quantile(together, 0.99) < 10


def test_the_depth_of_a_sphere_puts_its_points_a_radius_from_its_centre():
    checked = 0
    for index in range(40):
        room, view = room_and_view(index)
        for number, thing in enumerate(room.things):
            here = view.things == number
            if isinstance(thing.shape, Ball) and here.any():
                points = SOURCE.scene(index).maps["depth"].ravel()[here] * room.camera.rays()[:, here]
                apart = np.linalg.norm(points - thing.centre[:, None], axis=0)
                np.testing.assert_allclose(apart, thing.shape.radius, atol=2e-6)
                checked += 1
    assert checked >= 10


def test_the_middle_of_the_picture_looks_straight_ahead():
    """The four pixels around the axis: their mean ray is the axis, and each ray is as deep as it is long along it."""
    room, _ = room_and_view(0)
    rays = (room.camera.rotation.T @ room.camera.rays()).T.reshape(64, 80, 3)
    np.testing.assert_allclose(rays[31:33, 39:41].mean(axis=(0, 1)), [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(rays[..., 2], 1, atol=1e-12)
    assert rays[0, 0, 0] < 0 < rays[-1, -1, 0]
    assert rays[0, 0, 1] < 0 < rays[-1, -1, 1]


def test_between_different_surfaces_one_pixel_of_the_two_is_an_edge_and_elsewhere_none_is(scenes):
    for index, scene in enumerate(scenes[:8]):
        _, view = room_and_view(index)
        surfaces, depth = view.surfaces.reshape(64, 80), view.depth.reshape(64, 80)
        expected = np.zeros((64, 80), int)
        for row, column in np.ndindex(64, 80):
            for down, right in ((row + 1, column), (row, column + 1)):
                if down < 64 and right < 80 and surfaces[row, column] != surfaces[down, right]:
                    nearer = depth[row, column] <= depth[down, right]
                    expected[(row, column) if nearer else (down, right)] = 1
        assert (scene.maps["edges"] == expected).all()


def test_wherever_the_class_changes_there_is_an_edge(scenes):
    for scene in scenes:
        seg, edges = scene.maps["seg"], scene.maps["edges"]
        assert (edges[:, 1:] | edges[:, :-1])[seg[:, 1:] != seg[:, :-1]].all()
        assert (edges[1:] | edges[:-1])[seg[1:] != seg[:-1]].all()


def test_saliency_is_all_of_the_standing_solid_that_covers_most(scenes):
    for index, scene in enumerate(scenes[:40]):
        room, view = room_and_view(index)
        sizes = [int((view.things == number).sum()) for number in range(*room.standing.indices(len(room.things)))]
        assert scene.maps["saliency"].sum() == max(sizes)
        assert len(set(scene.maps["seg"][scene.maps["saliency"] == 1])) == 1


@pytest.mark.parametrize("size", [(16, 16), (64, 80), (16, 160), (160, 16)])
def test_saliency_is_never_nothing_and_never_everything(size):
    source = Scenes(size, seed=1, first=0, length=100)
    shares = [source.scene(index).maps["saliency"].mean() for index in range(len(source))]
    assert min(shares) > 0
    assert max(shares) < 1


def test_every_class_is_seen_within_a_hundred_scenes(scenes):
    assert {int(label) for scene in scenes for label in np.unique(scene.maps["seg"])} == set(range(len(CLASSES)))


def test_the_salient_solid_is_the_most_vivid(scenes):
    """Of the colours of the picture, those of the salient solid are farther from grey than the standing others' mean."""

    def vividness(picture, where):
        colours = picture[where].astype(float)
        return ((colours.max(axis=-1) - colours.min(axis=-1)) / np.maximum(colours.max(axis=-1), 1)).mean()

    wins = total = 0
    for scene in scenes:
        salient = scene.maps["saliency"] == 1
        others = np.isin(scene.maps["seg"], range(2, 6)) & ~salient
        if others.sum() > 30:
            wins += vividness(scene.picture, salient) > vividness(scene.picture, others)
            total += 1
    assert total > 50
    assert wins == total


def test_no_shape_has_more_faces_than_there_are_numbers():
    for index in range(30):
        room, view = room_and_view(index)
        assert (view.surfaces // FACES == view.things).all()
        assert view.surfaces.max() < FACES * len(room.things)


@pytest.mark.parametrize("size", [(60, 64), (0, 16), (64, 65)])
def test_a_size_that_is_no_whole_number_of_patches_is_refused(size):
    with pytest.raises(UsageError, match="pixels"):
        Scenes(size, seed=0, first=0, length=1)


@pytest.mark.parametrize("numbers", [(-1, 0, 1), (0, -1, 1), (0, 0, 0)])
def test_impossible_numbers_are_refused(numbers):
    with pytest.raises(UsageError, match="no scenes"):
        Scenes((64, 64), *numbers)


def test_there_is_no_scene_after_the_last():
    with pytest.raises(IndexError):
        SOURCE.scene(len(SOURCE))
