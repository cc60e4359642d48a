"""The sizes of VanillaNet 5-13 (arXiv 2305.12972) as plain data: naming them needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

STEM_KERNEL = 4
"""Side of the stem's convolution, in pixels."""


@dataclass(frozen=True, slots=True)
class VanillaNetConfig:
    """What tells one variant from another.

    `widths`: channels of the stem, then of each block; `strides`: one per block, taken by a max pool. `pooled_sides`:
    where given, the strided blocks pool to maps of these sides instead, whatever they get. `stem_padding` is in pixels.
    A series-informed activation sums the places up to `series` rows and columns away.
    """

    widths: tuple[int, ...]
    strides: tuple[int, ...]
    pooled_sides: tuple[int, ...] = ()
    stem_stride: int = 4
    stem_padding: int = 0
    series: int = 3

    @property
    def least_side(self) -> int:
        """The smallest image side, in pixels, that leaves each pool a map as large as what it makes of it."""
        side = self.pooled_sides[0] if self.pooled_sides else math.prod(self.strides)
        return (side - 1) * self.stem_stride + STEM_KERNEL - 2 * self.stem_padding

    def wider(self, factor: float) -> VanillaNetConfig:
        return replace(self, widths=tuple(int(width * factor) for width in self.widths))


def _deep(repeats: int) -> VanillaNetConfig:
    """VanillaNet-8 and deeper: `repeats` blocks of 2048 channels keep the map's size."""
    widths = (512, 512, 1024, *(2048,) * (repeats + 1), 4096, 4096)
    return VanillaNetConfig(widths, (1, 2, 2, *(1,) * repeats, 2, 1))


VARIANTS: Mapping[str, VanillaNetConfig] = {
    "vanillanet_5": VanillaNetConfig((512, 1024, 2048, 4096), (2, 2, 2)),
    "vanillanet_6": VanillaNetConfig((512, 1024, 2048, 4096, 4096), (2, 2, 2, 1)),
    "vanillanet_7": VanillaNetConfig((512, 512, 1024, 2048, 4096, 4096), (1, 2, 2, 2, 1)),
    **{f"vanillanet_{repeats + 7}": _deep(repeats) for repeats in range(1, 7)},
    "vanillanet_13_x1_5": _deep(6).wider(1.5),
    # stem and pools as in the authors' code at its head (6aaf731), which gives the published 48.9 GMACs; older code differs
    "vanillanet_13_x1_5_ada_pool": replace(
        _deep(6).wider(1.5), pooled_sides=(38, 19, 10), stem_stride=3, stem_padding=1
    ),
    # ours: maps of 8, 4 and 2 at 32 pixels
    "vanillanet_mini": VanillaNetConfig((128, 128, 256, 512), (1, 2, 2)),
}
