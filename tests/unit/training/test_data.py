"""Pictures are split the same way each time, class by class, and mistakes in a folder are named."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edge.errors import UsageError
from edge.preprocess import Preprocess
from edge.training import data
from edge.training.data import DIGITS, decode, find, held_out

SMALL = Preprocess(8, 8, crop=1.0)


def paint(path, colour, size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def folder(tmp_path):
    """Ten red and five blue pictures."""
    for number in range(10):
        paint(tmp_path / "red" / f"{number}.png", (255, number, 0))
    for number in range(5):
        paint(tmp_path / "blue" / f"{number}.png", (0, number, 255))
    return tmp_path


@pytest.fixture(scope="module")
def digits():
    return find(DIGITS, seed=0)


def test_one_in_five_of_each_digit_is_held_out(digits):
    held = np.bincount([sample.label for sample in digits.held_out])
    kept = np.bincount([sample.label for sample in digits.training])
    assert (np.abs(held / (held + kept) - 0.2) < 0.005).all()


def test_no_digit_is_both_trained_on_and_held_out(digits):
    marks = [sample.mark for sample in (*digits.training, *digits.held_out)]
    assert len(set(marks)) == len(marks) == 1797


def test_the_held_out_digits_are_the_same_each_time():
    once, again = held_out(DIGITS, SMALL, seed=3), held_out(DIGITS, SMALL, seed=3)
    assert np.array_equal(once.pictures, again.pictures)
    assert np.array_equal(once.labels, again.labels)


def test_another_seed_holds_out_other_digits(digits):
    other = find(DIGITS, seed=1)
    assert {sample.mark for sample in other.held_out} != {sample.mark for sample in digits.held_out}
    assert other.fingerprint != digits.fingerprint


def test_a_digit_keeps_its_grey_levels_and_its_class():
    from sklearn.datasets import load_digits

    scans = load_digits()
    found = held_out(DIGITS, SMALL, seed=0)
    assert found.classes == tuple("0123456789")
    chosen = [int(sample.mark.split()[0]) for sample in find(DIGITS, seed=0).held_out]
    assert np.array_equal(found.pictures[..., 0], np.round(scans.images[chosen] * 255 / 16).astype(np.uint8))
    assert np.array_equal(found.labels, scans.target[chosen])


def test_digits_grow_to_the_size_of_the_network():
    assert held_out(DIGITS, Preprocess(32, 24, crop=1.0), seed=0).pictures.shape == (359, 32, 24, 3)


def test_each_sub_folder_is_a_class(folder):
    source = find(str(folder), seed=0)
    assert source.classes == ("blue", "red")
    assert [len(source.training), len(source.held_out)] == [12, 3]


def test_the_label_is_that_of_the_folder(folder):
    found = held_out(str(folder), SMALL, seed=0)
    is_blue = found.pictures[:, 0, 0, 2] == 255
    assert [found.classes[label] for label in found.labels] == ["blue" if blue else "red" for blue in is_blue]


def test_folders_train_and_val_say_what_is_held_out(tmp_path):
    for part, count in (("train", 3), ("val", 2)):
        for name in ("a", "b"):
            for number in range(count):
                paint(tmp_path / part / name / f"{number}.png", (number, 0, 0))
    source = find(str(tmp_path), seed=0)
    assert [len(source.training), len(source.held_out)] == [6, 4]


def test_a_class_that_only_val_has_is_refused(tmp_path):
    for place in ("train/a", "train/b", "val/a", "val/c"):
        paint(tmp_path / place / "1.png", (0, 0, 0))
    with pytest.raises(UsageError, match="c"):
        find(str(tmp_path), seed=0)


def test_unreadable_pictures_are_left_out_and_named(folder):
    (folder / "red" / "zz broken.png").write_bytes(b"not a picture")
    (folder / "red" / "notes.txt").write_text("neither")
    source = find(str(folder), seed=0)
    found = decode((*source.training, *source.held_out), source.classes, SMALL)
    assert sorted(found.unreadable) == ["red/notes.txt", "red/zz broken.png"]
    assert len(found.pictures) == len(found.labels) == 15


def test_threads_decode_in_the_same_order(folder):
    source = find(str(folder), seed=0)
    one, four = (decode(source.training, source.classes, SMALL, workers=count) for count in (1, 4))
    assert np.array_equal(one.pictures, four.pictures)
    assert np.array_equal(one.labels, four.labels)


def test_pictures_beyond_the_limit_lie_in_a_file_and_are_the_same(folder, monkeypatch):
    source = find(str(folder), seed=0)
    in_memory = decode(source.training, source.classes, SMALL)
    monkeypatch.setattr(data, "IN_MEMORY", 100)
    on_disk = decode(source.training, source.classes, SMALL)
    assert isinstance(on_disk.pictures, np.memmap)
    assert np.array_equal(on_disk.pictures, in_memory.pictures)


def test_a_class_without_readable_pictures_is_refused(folder):
    for number in range(3):
        (folder / "empty" / f"{number}.png").parent.mkdir(exist_ok=True)
        (folder / "empty" / f"{number}.png").write_bytes(b"")
    source = find(str(folder), seed=0)
    with pytest.raises(UsageError, match="empty"):
        decode(source.training, source.classes, SMALL)


def test_an_empty_class_is_refused(folder):
    (folder / "green").mkdir()
    with pytest.raises(UsageError, match="green"):
        find(str(folder), seed=0)


def test_one_class_is_refused(tmp_path):
    paint(tmp_path / "only" / "1.png", (0, 0, 0))
    with pytest.raises(UsageError, match="two classes"):
        find(str(tmp_path), seed=0)


def test_a_class_with_one_picture_cannot_be_split(folder):
    paint(folder / "green" / "1.png", (0, 255, 0))
    with pytest.raises(UsageError, match="green"):
        find(str(folder), seed=0)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        find(str(tmp_path / "nowhere"), seed=0)


def test_names_with_spaces_quotes_and_no_ascii_are_fine(tmp_path):
    for name in ('it\'s a "cat"', "собака 犬\nnew line"):
        for number in range(2):
            paint(tmp_path / name / f"{number} ü$.png", (0, 0, 0))
    source = find(str(tmp_path), seed=0)
    assert len(decode(source.training, source.classes, SMALL).pictures) == 2
    assert len(source.fingerprint) == 64


def test_a_changed_picture_changes_the_fingerprint(folder):
    before = find(str(folder), seed=0).fingerprint
    paint(folder / "red" / "3.png", (9, 9, 9), size=(40, 40))
    assert find(str(folder), seed=0).fingerprint != before
