"""From a picture file to the array that a model takes, the same way for PyTorch and for every exported file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from edge.errors import PictureError
from edge.spec import PictureLayout

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Resize until `height / crop` x `width / crop` is covered, cut the centre `height` x `width`, then `(x / 255 - mean) / std`.

    `mean` and `std` are per channel, in RGB order, for values in 0..1.
    """

    height: int
    width: int
    crop: float = 0.875
    interpolation: str = "bicubic"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    colour: str = "RGB"

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1 or not 0 < self.crop <= 1 or self.interpolation not in FILTERS:
            raise ValueError(f"not a usable preprocessing: {self}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(f"mean and std need three numbers, std above zero: {self.mean}, {self.std}")

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Preprocess:
        """Build from plain data, as a card stores it. Raises `ValueError`, `TypeError` or `KeyError`."""
        mean = tuple(float(value) for value in fields["mean"])
        std = tuple(float(value) for value in fields["std"])
        return cls(**{**fields, "mean": mean, "std": std})

    def picture(self, image: Image.Image) -> NDArray[np.uint8]:
        """Resize and crop to uint8 (H, W, 3), RGB."""
        scale = max(self.height / image.height, self.width / image.width) / self.crop
        size = (max(self.width, round(image.width * scale)), max(self.height, round(image.height * scale)))
        resized = image.resize(size, FILTERS[self.interpolation])
        left, top = (resized.width - self.width) // 2, (resized.height - self.height) // 2
        return np.asarray(resized.crop((left, top, left + self.width, top + self.height)), dtype=np.uint8)

    def normalise(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (B, H, W, 3) to normalised float32 (B, 3, H, W)."""
        mean = np.asarray(self.mean, np.float32)
        std = np.asarray(self.std, np.float32)
        values = (pictures.astype(np.float32) / np.float32(255) - mean) / std
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2))

    def planes(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (B, H, W, 3) to float32 (B, 3, H, W), still 0..255."""
        return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), dtype=np.float32)

    def picture_input(self, pictures: NDArray[np.uint8], layout: str) -> NDArray[Any]:
        """What a file with an image input is fed: bytes as they are, or planes."""
        return pictures if layout == PictureLayout.BYTES_NHWC else self.planes(pictures)


def load_picture(path: Path) -> Image.Image:
    """Open any picture as RGB: EXIF rotation applied, alpha over white, greyscale, CMYK and 16 bits converted.

    Raises `PictureError` when the file is missing, no picture, truncated, or absurdly large.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):  # pillow would clip these at 255
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            if upright.has_transparency_data:
                layered = upright.convert("RGBA")
                white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
                return Image.alpha_composite(white, layered).convert("RGB")
            return upright.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise PictureError(f"cannot read {path} as a picture: {reason}", hint="give a PNG, JPEG or WebP file") from None
