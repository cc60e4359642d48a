"""The inputs that files are compared on."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edge import probe
from edge.card import TensorSpec
from edge.errors import PictureError
from edge.preprocess import Preprocess

SMALL = Preprocess(32, 48)


def test_there_are_at_least_64_different_pictures():
    pictures = probe.pictures(SMALL)
    assert pictures.shape == (probe.INPUTS, 32, 48, 3)
    assert probe.INPUTS >= 64
    assert len({picture.tobytes() for picture in pictures}) >= 63  # one border case is all black


def test_the_pictures_are_the_same_every_time():
    assert np.array_equal(probe.pictures(SMALL), probe.pictures(SMALL))


def test_the_user_s_pictures_come_first_and_are_filled_up(tmp_path):
    Image.new("RGB", (50, 50), (1, 2, 3)).save(tmp_path / "mine.png")
    pictures = probe.pictures(SMALL, tmp_path)
    assert (pictures[0] == (1, 2, 3)).all()
    assert len(pictures) >= 64


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(PictureError, match="no pictures"):
        probe.pictures(SMALL, tmp_path)


def test_tensors_follow_shape_and_dtype():
    floats, integers = probe.tensors([TensorSpec("a", (1, 3, 5)), TensorSpec("b", (1, 2), "int64")])
    assert floats.shape == (64, 3, 5)
    assert floats.dtype == np.float32
    assert integers.shape == (64, 2)
    assert integers.dtype == np.int64
