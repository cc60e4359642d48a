"""Pictures of every kind become the same arrays."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edge.errors import PictureError
from edge.preprocess import Preprocess, load_picture

SMALL = Preprocess(32, 32)


@pytest.fixture
def photograph() -> Image.Image:
    gradient = np.stack((*np.meshgrid(np.arange(60), np.arange(40)), np.full((40, 60), 100)), axis=-1) * 2
    return Image.fromarray(gradient.astype(np.uint8))


def saved(image: Image.Image, path, **options):
    image.save(path, **options)
    return load_picture(path)


def test_greyscale_cmyk_palette_and_bitmap_pictures_become_rgb(photograph, tmp_path):
    for mode, suffix in (("L", "png"), ("CMYK", "jpg"), ("P", "png"), ("1", "png")):
        loaded = saved(photograph.convert(mode), tmp_path / f"{mode[0]}.{suffix}")
        assert loaded.mode == "RGB"
        assert loaded.size == photograph.size


def test_a_16_bit_picture_keeps_its_brightness(tmp_path):
    deep = Image.fromarray(np.full((8, 8), 0x8000, np.uint16))
    assert saved(deep, tmp_path / "deep.png").getpixel((4, 4)) == (128, 128, 128)


def test_transparent_pixels_become_white(tmp_path):
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert saved(clear, tmp_path / "clear.png").getpixel((4, 4)) == (255, 255, 255)


def test_the_exif_rotation_is_applied(photograph, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated a quarter turn
    assert saved(photograph, tmp_path / "turned.jpg", exif=exif).size == (40, 60)


@pytest.mark.parametrize(
    "content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + bytes(40), b"\xff\xd8\xff\xe0" + bytes(40)]
)
def test_what_is_no_picture_is_refused_in_one_line(content, tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=r"broken\.png"):
        load_picture(path)


def test_a_truncated_picture_is_refused(photograph, tmp_path):
    photograph.save(tmp_path / "whole.jpg")
    (tmp_path / "half.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:400])
    with pytest.raises(PictureError):
        load_picture(tmp_path / "half.jpg")


def test_a_missing_picture_says_so(tmp_path):
    with pytest.raises(PictureError, match="no such file"):
        load_picture(tmp_path / "none.png")


@pytest.mark.parametrize("size", [(32, 32), (24, 40), (64, 32)])
@pytest.mark.parametrize("picture_size", [(60, 40), (40, 60), (1, 200), (7, 7)])
def test_every_picture_comes_out_at_the_model_s_size(size, picture_size):
    picture = Preprocess(*size).picture(Image.new("RGB", picture_size, (9, 9, 9)))
    assert picture.shape == (*size, 3)
    assert (picture == 9).all()


def test_the_centre_is_cut(photograph):
    whole = Preprocess(40, 40, crop=1.0).picture(photograph)
    assert np.abs(whole[:, :, 0].astype(int) - np.asarray(photograph)[:, 10:50, 0]).max() <= 1


def test_normalisation_is_the_formula_in_channels_first_order():
    picture = np.full((1, 4, 4, 3), (255, 0, 51), np.uint8)
    values = Preprocess(4, 4, mean=(0.5, 0.25, 0.0), std=(0.5, 0.5, 0.1)).normalise(picture)
    assert values.shape == (1, 3, 4, 4)
    assert values[0, :, 0, 0] == pytest.approx([1.0, -0.5, 2.0], rel=1e-6)


@pytest.mark.parametrize("fields", [{"crop": 0.0}, {"std": (1, 0, 1)}, {"interpolation": "magic"}, {"height": 0}])
def test_an_unusable_preprocessing_cannot_be_made(fields):
    with pytest.raises(ValueError, match=r"usable|std"):
        Preprocess(**{"height": 8, "width": 8, **fields})
