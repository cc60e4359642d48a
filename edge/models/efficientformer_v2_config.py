"""The sizes of EfficientFormerV2 (arXiv 2212.08059) and of its variants as plain data: naming them needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.errors import UsageError
from edge.models.stage_maps import MapSize

Expansions = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class EfficientFormerV2Config:
    """One network: channels per stage, hidden channels over channels of each block, attentions per late stage.

    The last `attention_blocks` blocks of the third and of the fourth stage have attention.
    """

    widths: tuple[int, int, int, int]
    expansions: Expansions
    attention_blocks: int
    drop_path: float = 0.0
    stem_strides: tuple[int, int] = (2, 2)
    heads: int = 8
    key_dim: int = 32
    value_dim: int = 128
    layer_scale: float = 1e-5

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks per stage."""
        return tuple(len(stage) for stage in self.expansions)


VARIANTS: Mapping[str, EfficientFormerV2Config] = {
    "efficientformerv2_s0": EfficientFormerV2Config(
        (32, 48, 96, 176),
        ((4,) * 2, (4,) * 2, (4, 3, 3, 3, 4, 4), (4, 3, 3, 4)),
        attention_blocks=2,
    ),
    "efficientformerv2_s1": EfficientFormerV2Config(
        (32, 48, 120, 224),
        ((4,) * 3, (4,) * 3, (4, 4, 3, 3, 3, 3, 4, 4, 4), (4, 4, 3, 3, 4, 4)),
        attention_blocks=2,
    ),
    "efficientformerv2_s2": EfficientFormerV2Config(
        (32, 64, 144, 288),
        ((4,) * 4, (4,) * 4, (4, 4, *(3,) * 6, 4, 4, 4, 4), (4, 4, 3, 3, 3, 3, 4, 4)),
        attention_blocks=4,
        drop_path=0.02,
    ),
    "efficientformerv2_l": EfficientFormerV2Config(
        (40, 80, 192, 384),
        ((4,) * 5, (4,) * 5, (*(4,) * 4, *(3,) * 7, *(4,) * 4), (4, 4, 4, 3, 3, 3, 3, 4, 4, 4)),
        attention_blocks=6,
        drop_path=0.1,
    ),
    "efficientformerv2_mini": EfficientFormerV2Config(
        (24, 48, 64, 96),
        ((3,), (3,), (3, 3), (3, 3)),
        attention_blocks=1,
        stem_strides=(2, 1),
        heads=4,
        key_dim=16,
        value_dim=32,
        layer_scale=0.1,
    ),
}


def require_even(map_size: MapSize, config: EfficientFormerV2Config, image_size: MapSize) -> None:
    """Refuse a third stage of odd sides: its attention halves the map, rounding up, and doubles it again."""
    if config.attention_blocks and (map_size[0] % 2 or map_size[1] % 2):
        cell = config.stem_strides[0] * config.stem_strides[1] * 8
        raise UsageError(
            f"an image of {image_size[0]}x{image_size[1]} gives this network a {map_size[0]}x{map_size[1]} map, "
            "whose strided attention needs even sides",
            hint=f"use a height and a width that are multiples of {cell}",
        )
