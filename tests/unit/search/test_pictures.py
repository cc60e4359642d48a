"""A search sees the training pictures alone, split once more, as the final training cuts them; mistakes in a folder are named."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edge.errors import UsageError
from edge.preprocess import IMAGENET_MEAN
from edge.reference import ModelRequest
from edge.search.pictures import search_pictures
from edge.training.data import DIGITS, find, held_out
from edge.training.start import start

SIZE = (16, 16)


def paint(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE, colour).save(path)


def fill(folder, *, red, blue):
    """Pictures of two classes, all of them different."""
    for number in range(red):
        paint(folder / "red" / f"{number}.png", (255, number, 0))
    for number in range(blue):
        paint(folder / "blue" / f"{number}.png", (0, number, 255))
    return folder


def search(folder, seed=0):
    return search_pictures(str(folder), "efficientvit", SIZE, seed)


def colours(pictures):
    return {tuple(map(int, picture[0, 0])) for picture in pictures}


def break_some(folder, count):
    """The first `count` training pictures become text."""
    for sample in find(str(folder), 0).training[:count]:
        (folder / sample.mark.rpartition(" ")[0]).write_text("no picture")


@pytest.fixture(scope="module")
def digits():
    return search_pictures(DIGITS, "efficientvit", (8, 8), seed=0)


def test_one_in_five_of_what_may_be_trained_on_judges(digits):
    assert len(digits.training.labels) + len(digits.validation.labels) == len(find(DIGITS, 0).training)
    judging = np.bincount(digits.validation.labels)
    all_of_it = judging + np.bincount(digits.training.labels)
    assert (np.abs(judging / all_of_it - 0.2) < 0.005).all()


def test_training_validation_and_held_out_pictures_have_nothing_in_common(tmp_path):
    found = search(fill(tmp_path, red=40, blue=20))
    held = held_out(str(tmp_path), found.preprocess, seed=0)
    parts = [colours(each.pictures) for each in (found.training, found.validation, held)]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 60


def test_what_is_held_out_is_not_opened(tmp_path):
    fill(tmp_path, red=10, blue=10)
    for sample in find(str(tmp_path), 0).held_out:
        (tmp_path / sample.mark.rpartition(" ")[0]).write_text("no picture")
    assert search(tmp_path).unreadable == ()


def test_folders_train_and_val_leave_val_alone(tmp_path):
    fill(tmp_path / "train", red=10, blue=5)
    fill(tmp_path / "val", red=3, blue=3)
    found = search(tmp_path)
    assert [len(found.training.labels), len(found.validation.labels)] == [12, 3]


def test_the_split_is_the_same_each_time_and_another_with_another_seed(tmp_path):
    fill(tmp_path / "train", red=20, blue=20)
    fill(tmp_path / "val", red=1, blue=1)
    once, again, other = (search(tmp_path, seed) for seed in (0, 0, 1))
    assert np.array_equal(once.validation.pictures, again.validation.pictures)
    assert once.fingerprint == again.fingerprint != other.fingerprint
    assert colours(once.validation.pictures) != colours(other.validation.pictures)


def test_the_first_training_pictures_are_of_all_classes(tmp_path):
    found = search(fill(tmp_path, red=60, blue=60))
    assert 5 < int(found.training.labels[:20].sum()) < 15


def test_a_label_stays_with_its_picture(tmp_path):
    found = search(fill(tmp_path, red=10, blue=10))
    for part in (found.training, found.validation):
        is_red = part.pictures[:, 0, 0, 0] == 255
        assert [found.classes[label] == "red" for label in part.labels] == is_red.tolist()
    assert found.num_classes == 2


@pytest.mark.parametrize("model", ["efficientvit_mini", "efficientformer_mini", "efficientformerv2_mini"])
@pytest.mark.parametrize("data", [DIGITS, "photographs"])
def test_pictures_are_cut_as_in_the_training_of_the_family(model, data, tmp_path):
    folder = fill(tmp_path, red=5, blue=5)
    family = {"efficientformerv2_mini": "efficientformer_v2"}.get(model, model.removesuffix("_mini"))
    found = search_pictures(DIGITS if data == DIGITS else str(folder), family, (64, 64), seed=0)
    begun = start(ModelRequest(model, image_size=(64, 64)), data, found.num_classes)
    assert found.preprocess == begun.preprocess
    assert (found.preprocess.mean == IMAGENET_MEAN) == (data != DIGITS)


def test_one_unreadable_picture_in_a_hundred_is_passed_over_and_named(tmp_path):
    fill(tmp_path, red=65, blue=65)
    break_some(tmp_path, 1)
    found = search(tmp_path)
    assert len(found.unreadable) == 1
    assert len(found.training.labels) + len(found.validation.labels) == 103


def test_more_unreadable_pictures_are_refused_with_three_names(tmp_path):
    fill(tmp_path, red=65, blue=65)
    break_some(tmp_path, 4)
    with pytest.raises(UsageError, match=r"4 of 104 pictures cannot be read: blue/\d+\.png, .*, .* and 1 more"):
        search(tmp_path)


def test_a_class_of_which_nothing_is_left_is_refused(tmp_path):
    fill(tmp_path, red=10, blue=10)
    for file in (tmp_path / "blue").iterdir():
        file.write_text("no picture")
    with pytest.raises(UsageError, match="blue"):
        search(tmp_path)


def test_a_class_too_small_to_be_split_twice_is_refused(tmp_path):
    fill(tmp_path, red=10, blue=2)
    with pytest.raises(UsageError, match="'blue' has 1 picture to search with"):
        search(tmp_path)


def test_one_class_is_refused(tmp_path):
    fill(tmp_path, red=10, blue=0)
    with pytest.raises(UsageError, match="two classes"):
        search(tmp_path)
