"""The sizes of EfficientViT M0-M5 (arXiv 2305.07027) as plain data: naming them needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EfficientViTConfig:
    """What tells one variant from another; the tuples hold one value per stage."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    kernels: tuple[int, ...]
    """The query's depthwise kernel of each head; a stage with h heads takes the first h."""
    window: int = 7
    """Side of the attention windows, less where a stage's map is smaller."""
    key_width: int = 16
    stem_convolutions: int = 4
    """Convolutions of stride 2 before the first stage."""

    @property
    def patch(self) -> int:
        """Pixels per side of the first stage's map."""
        return 1 << self.stem_convolutions

    def windows(self, image_size: tuple[int, int]) -> tuple[int, ...]:
        """The side of each stage's windows for an image of (height, width): the shorter side decides, as published."""
        sides = [min(image_size) // self.patch]
        for _ in self.widths[1:]:
            sides.append((sides[-1] + 1) // 2)
        return tuple(min(self.window, side) for side in sides)


VARIANTS: Mapping[str, EfficientViTConfig] = {
    "efficientvit_m0": EfficientViTConfig((64, 128, 192), (1, 2, 3), (4, 4, 4), (5, 5, 5, 5)),
    "efficientvit_m1": EfficientViTConfig((128, 144, 192), (1, 2, 3), (2, 3, 3), (7, 5, 3, 3)),
    "efficientvit_m2": EfficientViTConfig((128, 192, 224), (1, 2, 3), (4, 3, 2), (7, 5, 3, 3)),
    "efficientvit_m3": EfficientViTConfig((128, 240, 320), (1, 2, 3), (4, 3, 4), (5, 5, 5, 5)),
    "efficientvit_m4": EfficientViTConfig((128, 256, 384), (1, 2, 3), (4, 4, 4), (7, 5, 3, 3)),
    "efficientvit_m5": EfficientViTConfig((192, 288, 384), (1, 3, 4), (3, 3, 4), (7, 5, 3, 3)),
    # ours: maps of 8, 4 and 2 at 32 pixels; the first stage has windows, so every operator of the family occurs
    "efficientvit_mini": EfficientViTConfig(
        (48, 80, 112), (1, 1, 2), (3, 2, 2), (5, 3, 3), window=4, stem_convolutions=2
    ),
}
