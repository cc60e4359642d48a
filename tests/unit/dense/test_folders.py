"""Small folders in the layouts of NYUD_MT and PASCAL_MT are read back; what is missing or broken is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from edge.dense.data import IGNORE
from edge.dense.folder import nearest, opened, unit_vectors
from edge.dense.nyud import NYUD
from edge.dense.pascal import LABELS_WITH_NORMALS, PASCAL
from edge.dense.sources import FIRST_HELD_OUT, find
from edge.errors import PictureError, UsageError

SIZE = (32, 48)
NAMES = {"train": ("0001", "0004"), "val": ("0002",)}

PICTURE = np.zeros((*SIZE, 3), np.uint8)
PICTURE[:, 24:] = (200, 100, 50)
SEG = np.repeat(np.arange(SIZE[1]) % 41, SIZE[0]).reshape(SIZE[::-1]).T.astype(np.uint8)
DEPTH = np.linspace(0.5, 9, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
DEPTH[3, 5] = 0
NORMALS = np.broadcast_to(np.array([0.6, 0, -0.8], np.float32), (*SIZE, 3)).copy()
NORMALS[:4] = 0
EDGES = (np.arange(SIZE[0])[:, None] == np.arange(SIZE[1])).astype(np.float32)
LABELS = np.where(np.arange(SIZE[1]) < 20, LABELS_WITH_NORMALS[0], 1) * np.ones((SIZE[0], 1), np.int64)


def as_picture(vectors: np.ndarray) -> np.ndarray:
    return np.rint((vectors + 1) * 127.5).astype(np.uint8)


def save(path: Path, array: np.ndarray, key: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".mat":
        savemat(path, {key: array})
    elif path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path, **({"quality": 100, "subsampling": 0} if path.suffix == ".jpg" else {}))


def lists(root: Path, place: str) -> None:
    for part, names in NAMES.items():
        path = root / place.format(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{name}\n" for name in names))


@pytest.fixture
def mti_net(tmp_path: Path) -> Path:
    """NYUD_MT as MTI-Net packs it."""
    lists(tmp_path, "gt_sets/{}.txt")
    for name in sum(NAMES.values(), ()):
        save(tmp_path / f"images/{name}.jpg", PICTURE)
        save(tmp_path / f"segmentation/{name}.png", SEG)
        save(tmp_path / f"depth/{name}.npy", DEPTH)
        save(tmp_path / f"normals/{name}.npy", 3 * NORMALS)
        save(tmp_path / f"edge/{name}.npy", EDGES)
    return tmp_path


@pytest.fixture
def astmt(tmp_path: Path) -> Path:
    """NYUD_MT as ASTMT packs it."""
    lists(tmp_path, "gt_sets/{}.txt")
    for name in sum(NAMES.values(), ()):
        save(tmp_path / f"images/{name}.jpg", PICTURE)
        save(tmp_path / f"segmentation/{name}.mat", SEG, "segmentation")
        save(tmp_path / f"depth/{name}.mat", DEPTH, "depth")
        save(tmp_path / f"normals/{name}.jpg", as_picture(NORMALS))
        save(tmp_path / f"edge/{name}.png", (255 * EDGES).astype(np.uint8))
    return tmp_path


@pytest.fixture
def pascal(tmp_path: Path) -> Path:
    lists(tmp_path, "ImageSets/Context/{}.txt")
    for name in sum(NAMES.values(), ()):
        save(tmp_path / f"JPEGImages/{name}.jpg", PICTURE)
        folder = "VOC12" if name == "0001" else "pascal-context"
        save(tmp_path / f"semseg/{folder}/{name}.png", np.where(SEG > 20, 255, SEG).astype(np.uint8))
        save(tmp_path / f"normals_distill/{name}.png", as_picture(NORMALS))
        save(tmp_path / f"sal_distill/{name}.png", (255 * (SEG > 7)).astype(np.uint8))
        save(tmp_path / f"pascal-context/trainval/{name}.mat", LABELS, "LabelMap")
    return tmp_path


@pytest.mark.parametrize("packing", ["mti_net", "astmt"])
def test_both_packings_of_nyud_give_the_same_maps(packing, request):
    training, held_out = find(str(request.getfixturevalue(packing)), SIZE)
    assert (len(training), len(held_out)) == (2, 1)
    assert training.tasks == ("seg", "depth", "normals", "edges")
    assert len(training.classes) == 40
    maps = training.scene(1).maps
    assert (maps["seg"] == np.where(SEG == 0, IGNORE, SEG.astype(int) - 1)).all()
    np.testing.assert_array_equal(maps["depth"], np.where(DEPTH > 0, DEPTH, np.nan))
    assert np.isnan(maps["normals"][:4]).all()
    np.testing.assert_allclose(maps["normals"][6:], NORMALS[6:], atol=0.03)  # JPEG mixes the rows between
    assert (maps["edges"] == EDGES).all()
    assert {task: found.dtype for task, found in maps.items()} == {
        "seg": np.uint8, "depth": np.float32, "normals": np.float32, "edges": np.uint8,
    }  # fmt: skip


def test_pascal_is_read_back(pascal):
    training, held_out = find(str(pascal), SIZE)
    assert training.tasks == ("seg", "normals", "edges", "saliency")
    assert len(training.classes) == 21
    for scene in (training.scene(0), held_out.scene(0)):  # from either folder of segmentations
        assert (scene.maps["seg"] == np.where(SEG > 20, IGNORE, SEG)).all()
        assert (scene.maps["saliency"] == (SEG > 7)).all()
        assert (np.isnan(scene.maps["normals"]).any(axis=-1) == ((LABELS == 1) | (np.arange(32)[:, None] < 4))).all()
        np.testing.assert_allclose(np.linalg.norm(scene.maps["normals"][4:, :20], axis=-1), 1, atol=1e-6)
        assert (scene.maps["edges"] == (np.arange(48) == 19)).all()
        np.testing.assert_allclose(scene.picture[:, 30:].mean(axis=(0, 1)), (200, 100, 50), atol=3)


def test_a_picture_is_bent_with_its_maps(mti_net):
    scene = find(str(mti_net), (16, 96)).training.scene(0)
    assert scene.picture.shape == (16, 96, 3)
    assert scene.picture[:, :40].max() < 20 < scene.picture[:, 56:, 0].min()
    assert scene.maps["normals"].shape == (16, 96, 3)
    assert set(np.unique(scene.maps["depth"][~np.isnan(scene.maps["depth"])])) <= set(DEPTH.ravel())


def test_a_thin_line_survives_shrinking(mti_net):
    edges = find(str(mti_net), (16, 16)).training.scene(0).maps["edges"]
    expected = np.zeros((16, 16))
    for row in range(32):
        expected[row // 2, row // 3] = 1
    assert (edges == np.maximum(expected, nearest(EDGES, (16, 16)))).all()
    assert edges.any(axis=1).all()


def test_nearest_takes_the_pixel_whose_middle_is_nearest_and_mixes_nothing():
    assert nearest(np.arange(6).reshape(1, 6), (1, 3)).tolist() == [[1, 3, 5]]
    assert nearest(np.array([[1.0, np.nan]]), (2, 4))[1].tolist()[:2] == [1, 1]
    assert np.isnan(nearest(np.array([[1.0, np.nan]]), (2, 4))[:, 2:]).all()


def test_what_is_too_short_to_be_a_direction_is_unknown():
    vectors = unit_vectors(np.array([[[0, 0, -2.0], [0.1, 0, 0]]]))
    assert vectors[0, 0].tolist() == [0, 0, -1]
    assert np.isnan(vectors[0, 1]).all()


def test_a_task_without_a_folder_is_left_out(mti_net):
    shutil.rmtree(mti_net / "normals")
    assert find(str(mti_net), SIZE).training.tasks == ("seg", "depth", "edges")


def test_the_fingerprint_changes_with_a_file_the_size_and_the_part(mti_net):
    before = find(str(mti_net), SIZE)
    assert before.training.fingerprint == find(str(mti_net), SIZE).training.fingerprint
    save(mti_net / "depth/0004.npy", np.ones((5, 5)))
    after = find(str(mti_net), SIZE)
    bigger = find(str(mti_net), (64, 64))
    assert len({each.fingerprint for each in (before.training, *after, *bigger)}) == 5


def test_a_folder_without_any_map_says_which_there_should_be(mti_net):
    for folder in ("segmentation", "depth", "normals", "edge"):
        shutil.rmtree(mti_net / folder)
    with pytest.raises(UsageError, match="no map of any task") as raised:
        find(str(mti_net), SIZE)
    assert "segmentation" in raised.value.hint


def test_a_listed_picture_without_a_file_is_named(mti_net, pascal):
    (mti_net / "depth/0002.npy").unlink()
    with pytest.raises(UsageError, match=r"'0002'.*0002\.npy or .*0002\.mat"):
        opened(NYUD, mti_net, "val", SIZE)
    (pascal / "JPEGImages/0001.jpg").unlink()
    with pytest.raises(UsageError, match=r"'0001'.*0001\.jpg"):
        opened(PASCAL, pascal, "train", SIZE)


def test_an_empty_or_missing_list_is_said(mti_net):
    (mti_net / "gt_sets/val.txt").write_text("\n")
    with pytest.raises(UsageError, match="names no picture"):
        find(str(mti_net), SIZE)
    with pytest.raises(UsageError, match=r"cannot read .*test\.txt"):
        opened(NYUD, mti_net, "test", SIZE)


@pytest.mark.parametrize("file", ["images/0001.jpg", "segmentation/0001.png", "depth/0001.npy", "edge/0001.npy"])
@pytest.mark.parametrize("content", [b"", b"not what it should be" * 9])
def test_a_broken_file_is_named(mti_net, file, content):
    (mti_net / file).write_bytes(content)
    with pytest.raises(PictureError, match=file):
        find(str(mti_net), SIZE).training.scene(0)


@pytest.mark.parametrize("content", [b"", b"not what it should be" * 9])
def test_a_broken_mat_file_is_named(astmt, content):
    (astmt / "depth/0001.mat").write_bytes(content)
    with pytest.raises(PictureError, match=r"depth/0001\.mat"):
        find(str(astmt), SIZE).training.scene(0)


def test_a_mat_file_without_the_variable_is_named(astmt):
    save(astmt / "depth/0001.mat", DEPTH, "something_else")
    with pytest.raises(PictureError, match=r"0001\.mat has no variable 'depth'"):
        find(str(astmt), SIZE).training.scene(0)


@pytest.mark.parametrize(
    ("file", "array"),
    [
        ("segmentation/0001.png", PICTURE),
        ("depth/0001.npy", np.ones((4, 4, 1))),
        ("depth/0001.npy", np.ones((0, 4))),
        ("normals/0001.npy", np.ones((4, 4))),
        ("normals/0001.npy", np.ones((4, 4, 4))),
    ],
)
def test_a_map_of_the_wrong_shape_is_refused(mti_net, file, array):
    save(mti_net / file, array)
    with pytest.raises(PictureError, match="has shape"):
        find(str(mti_net), SIZE).training.scene(0)


def test_a_class_that_the_data_set_does_not_have_is_refused(mti_net, pascal):
    save(mti_net / "segmentation/0001.png", np.full(SIZE, 41, np.uint8))
    with pytest.raises(PictureError, match=r"beyond 0\.\.40"):
        opened(NYUD, mti_net, "train", SIZE).scene(0)
    save(pascal / "semseg/VOC12/0001.png", np.full(SIZE, 21, np.uint8))
    with pytest.raises(PictureError, match=r"beyond 0\.\.20"):
        opened(PASCAL, pascal, "train", SIZE).scene(0)


@pytest.mark.parametrize("there", [True, False])
def test_anything_else_is_refused_with_a_list_of_what_is_accepted(tmp_path, there):
    with pytest.raises(UsageError, match=str(tmp_path)) as raised:
        find(str(tmp_path if there else tmp_path / "nothing"), SIZE)
    assert all(word in raised.value.hint for word in ("scenes", "NYUD_MT", "PASCAL_MT", "gt_sets/train.txt"))


def test_a_size_that_is_no_whole_number_of_patches_is_refused(mti_net):
    with pytest.raises(UsageError, match="pixels"):
        find(str(mti_net), (30, 48))


def test_the_rooms_that_are_trained_on_and_those_held_out_have_no_number_in_common():
    training, held_out = find("scenes", SIZE, seed=2, training=5, held_out=3)
    assert (len(training), len(held_out)) == (5, 3)
    pictures = {
        source.scene(index).picture.tobytes() for source in (training, held_out) for index in range(len(source))
    }
    assert len(pictures) == 8
    assert find("scenes", SIZE, seed=2, training=9, held_out=3).held_out.fingerprint == held_out.fingerprint
    find("scenes", SIZE, training=FIRST_HELD_OUT)
    with pytest.raises(UsageError, match="too many"):
        find("scenes", SIZE, training=FIRST_HELD_OUT + 1)
