"""The photographs of the benchmark are all installed, and no pixel of them is in two crops."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.benchmarks import photographs
from tests.benchmarks.photographs import COUNTS, PHOTOGRAPHS, areas, cut


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.png")}


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(photographs, "COUNTS", {"train": 4, "val": 2})


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_no_two_crops_share_a_pixel(name):
    with Image.open(PHOTOGRAPHS[name][0]) as photograph:
        width, height = photograph.size
    times_seen = np.zeros((height, width), int)
    counts = dict.fromkeys(COUNTS, 0)
    for part, area in areas(width, height, np.random.default_rng(0)):
        left, top, right, bottom = area.box
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        times_seen[top:bottom, left:right] += 1
        counts[part] += 1
    assert times_seen.max() == 1
    assert counts == COUNTS


def test_the_same_seed_writes_the_same_files_and_another_does_not(tmp_path, few):
    for folder, seed in (("once", 0), ("again", 0), ("other", 1)):
        cut(tmp_path / folder, seed)
    once, again, other = (contents(tmp_path / folder) for folder in ("once", "again", "other"))
    assert once == again
    assert once.keys() == other.keys()
    assert once != other


def test_each_photograph_is_a_class_of_both_parts(tmp_path, few):
    cut(tmp_path, 0)
    for part, count in (("train", 4), ("val", 2)):
        found = {folder.name: len(list(folder.iterdir())) for folder in (tmp_path / part).iterdir()}
        assert found == dict.fromkeys(PHOTOGRAPHS, count)


def test_a_crop_looks_like_the_place_it_is_cut_from():
    path, _ = PHOTOGRAPHS["brick"]
    with Image.open(path) as photograph:
        _, area = next(areas(*photograph.size, np.random.default_rng(0)))
        left, top, right, bottom = area.box
        place = np.asarray(photograph)[top:bottom, left:right]
        crop = photographs.crop(photograph, area)
    assert crop.shape == (photographs.PIXELS, photographs.PIXELS)
    assert abs(float(crop.mean()) - float(place.mean())) < 1
