"""The sizes of EfficientFormer (arXiv 2206.01191) and of its variants as plain data: naming them needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EfficientFormerConfig:
    """One network: channels and blocks per stage, and how many blocks at the end of the last stage use attention."""

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    token_blocks: int
    stem_strides: tuple[int, int] = (2, 2)
    heads: int = 8
    key_dim: int = 32
    value_dim: int = 128
    mlp_ratio: int = 4
    drop_path: float = 0.0
    layer_scale: float = 1e-5


VARIANTS: Mapping[str, EfficientFormerConfig] = {
    "efficientformer_l1": EfficientFormerConfig((48, 96, 224, 448), (3, 2, 6, 4), 1),
    "efficientformer_l3": EfficientFormerConfig((64, 128, 320, 512), (4, 4, 12, 6), 4),
    "efficientformer_l7": EfficientFormerConfig((96, 192, 384, 768), (6, 6, 18, 8), 8),
    "efficientformer_mini": EfficientFormerConfig(
        (24, 48, 96, 128), (1, 1, 2, 2), 1, stem_strides=(2, 1), heads=4, key_dim=16, value_dim=32, layer_scale=0.1
    ),
}
