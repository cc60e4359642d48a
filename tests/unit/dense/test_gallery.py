"""Scenes are kept as their source gives them, and a mirror turns normals as it turns places."""

from __future__ import annotations

import numpy as np
import pytest

from edge.dense.data import Scene, SceneSource
from edge.dense.gallery import gathered, mirrored
from edge.errors import PictureError, UsageError

TASKS = ("seg", "depth", "normals", "edges", "saliency")


def scene(number):
    draw = np.random.default_rng(number)
    normals = draw.normal(size=(4, 6, 3)).astype(np.float32)
    maps = {
        "seg": draw.integers(0, 5, (4, 6)).astype(np.uint8),
        "depth": draw.random((4, 6)).astype(np.float32),
        "normals": normals / np.linalg.norm(normals, axis=-1, keepdims=True),
        "edges": draw.integers(0, 2, (4, 6)).astype(np.uint8),
        "saliency": draw.integers(0, 2, (4, 6)).astype(np.uint8),
    }
    return Scene(draw.integers(0, 256, (4, 6, 3)).astype(np.uint8), maps)


class Five(SceneSource):
    """Five scenes, of which those of `broken` cannot be read."""

    tasks, classes, fingerprint = TASKS, ("a", "b", "c", "d", "e"), "five"

    def __init__(self, broken=()):
        self.broken = broken

    def __len__(self):
        return 5

    def scene(self, index):
        if index in self.broken:
            raise PictureError(f"{index}.png is damaged", hint="")
        return scene(index)


def test_the_scenes_of_a_source_are_kept_in_order_as_they_are():
    found = gathered(Five(), TASKS, workers=2)
    assert len(found) == 5
    for number in range(5):
        assert np.array_equal(found.pictures[number], scene(number).picture)
        for task in TASKS:
            assert np.array_equal(found.maps[task][number], scene(number).maps[task])
            assert found.maps[task].dtype == scene(number).maps[task].dtype


def test_only_the_maps_of_the_tasks_are_kept():
    assert set(gathered(Five(), ("depth",)).maps) == {"depth"}


def test_scenes_that_cannot_be_read_are_left_out_and_named():
    found = gathered(Five(broken=(1, 3)), TASKS)
    assert found.unreadable == ("1.png is damaged", "3.png is damaged")
    assert [picture.tolist() for picture in found.pictures] == [scene(n).picture.tolist() for n in (0, 2, 4)]


def test_a_source_without_a_readable_scene_is_refused():
    with pytest.raises(UsageError, match="none of the scenes"):
        gathered(Five(broken=range(5)), TASKS)


def test_a_mirror_moves_every_map_with_its_picture():
    scenes = gathered(Five(), TASKS)
    which = np.array([True, False, True, False, False])
    turned = mirrored(scenes, which)
    for task, maps in {"": scenes.pictures, **scenes.maps}.items():
        seen = turned.pictures if task == "" else turned.maps[task]
        expected = maps[which][:, :, ::-1] * ([-1, 1, 1] if task == "normals" else 1)
        assert np.array_equal(seen[which], expected)
        assert np.array_equal(seen[~which], maps[~which])


def test_a_wall_that_faces_left_faces_right_in_a_mirror():
    scenes = gathered(Five(), ("normals",))
    scenes.maps["normals"][:] = (-0.6, 0.0, -0.8)
    turned = mirrored(scenes, np.ones(5, bool)).maps["normals"]
    assert np.allclose(turned, (0.6, 0.0, -0.8))


def test_a_mirror_of_a_mirror_is_the_scene():
    scenes = gathered(Five(), TASKS)
    which = np.ones(5, bool)
    twice = mirrored(mirrored(scenes, which), which)
    assert np.array_equal(twice.pictures, scenes.pictures)
    assert all(np.array_equal(twice.maps[task], scenes.maps[task]) for task in TASKS)


def test_mirroring_leaves_the_kept_scenes_alone():
    scenes = gathered(Five(), TASKS)
    before = scenes.maps["normals"].copy()
    mirrored(scenes, np.ones(5, bool))
    assert np.array_equal(scenes.maps["normals"], before)
