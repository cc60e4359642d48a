"""The sizes of M3ViT as plain data, and the arithmetic that follows from them, so that a simulator needs no torch.

Rules and figures are those of the moe_fpga sheet §1. One multiply-accumulate (MAC) counts one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from edge.errors import UsageError

PATCH = 16
"""Pixels per side of the square that becomes one token."""
DENSE_RATIO = 4
"""Hidden channels per channel in the feed-forward layers without experts."""

CHANNELS: Mapping[str, int | None] = {"seg": None, "depth": 1, "normals": 3, "edges": 1, "saliency": 1}
"""The channels of each task's map; None: one per class. Maps are raw: logits (seg, edges, saliency), depth in the unit
that was trained, normals not yet of length 1."""

DECODER_CONVOLUTIONS = 4
"""Those of a decoder are 3x3, each at twice the resolution of the one before; the end's doubling makes patches whole again."""


class ScoreRule(StrEnum):
    """How logits become the scores of a token's k experts."""

    SOFTMAX_FIRST = "softmax over all experts, of which the best k are kept as they are"
    TOP_K_FIRST = "softmax over the best k alone"


class RouterKind(StrEnum):
    """How a task has its say in the routing."""

    MULTI_GATE = "one gate per task"
    TASK_CONDITIONED = "one gate that sees the task beside the token"


@dataclass(frozen=True, slots=True)
class MoEConfig:
    """The sizes and rules of every mixture-of-experts layer of a network.

    `noise` is s of the softmax-first rule: in training, logits get noise of deviation s/E; the other rule learns its noise.
    `task_width` is the width of the embedded task that a conditioned gate sees. Raises `UsageError` for impossible sizes.
    """

    experts: int = 16
    top_k: int = 4
    hidden_ratio: int = 1
    router: RouterKind = RouterKind.MULTI_GATE
    rule: ScoreRule = ScoreRule.SOFTMAX_FIRST
    noise: float = 0.0
    task_width: int = 64

    def __post_init__(self) -> None:
        if min(self.experts, self.top_k, self.hidden_ratio, self.task_width) < 1 or self.noise < 0:
            raise UsageError(f"no layer of experts has sizes like {self}", hint="sizes are 1 or more, noise 0 or more")
        if self.top_k > self.experts:
            raise UsageError(
                f"a token cannot visit {self.top_k} of {self.experts} experts",
                hint=f"top_k is at most {self.experts}, the number of experts",
            )


@dataclass(frozen=True, slots=True)
class M3ViTConfig:
    """What tells one variant from another. Raises `UsageError` when the heads do not share the width evenly."""

    width: int
    heads: int
    moe: MoEConfig
    depth: int = 12
    decoder_width: int = 256

    def __post_init__(self) -> None:
        if min(self.width, self.heads, self.depth, self.decoder_width) < 1 or self.width % self.heads:
            raise UsageError(
                f"{self.heads} attention heads cannot share {self.width} channels evenly",
                hint="take a width that is a multiple of the heads, and every size 1 or more",
            )

    @property
    def moe_blocks(self) -> tuple[int, ...]:
        """The blocks whose feed-forward layer is a mixture of experts: the odd ones (§1.1)."""
        return tuple(range(1, self.depth, 2))


VARIANTS: Mapping[str, M3ViTConfig] = {
    "m3vit_tiny": M3ViTConfig(192, 3, MoEConfig(top_k=2, hidden_ratio=2)),  # as on the hardware of Edge-MoE (§3.1)
    "m3vit_small": M3ViTConfig(384, 12, MoEConfig(top_k=4, hidden_ratio=1)),
    "m3vit_base": M3ViTConfig(768, 12, MoEConfig(top_k=4, hidden_ratio=1)),
    # ours: every operator of the family at the size of a test
    "m3vit_mini": M3ViTConfig(48, 3, MoEConfig(experts=8, top_k=2, hidden_ratio=2), depth=4, decoder_width=32),
}


def backbone_macs(config: M3ViTConfig, image_size: tuple[int, int]) -> int:
    """Multiply-accumulates of the backbone for one task and picture, with k experts per token and attention products.

    Norms, softmax, activations and additions count nothing (the convention of the moe_fpga sheet §1.5).
    """
    patches, width, moe = math.prod(grid_of(image_size)), config.width, config.moe
    tokens = 1 + patches
    attention = tokens * 4 * width**2 + 2 * tokens**2 * width
    dense = tokens * 2 * DENSE_RATIO * width**2
    gate_width = width + (moe.task_width if moe.router is RouterKind.TASK_CONDITIONED else 0)
    mixture = tokens * (moe.top_k * 2 * moe.hidden_ratio * width**2 + gate_width * moe.experts)
    mixtures = len(config.moe_blocks)
    embedding = patches * 3 * PATCH**2 * width
    return embedding + config.depth * attention + (config.depth - mixtures) * dense + mixtures * mixture


def head_macs(config: M3ViTConfig, image_size: tuple[int, int], channels: int) -> int:
    """Multiply-accumulates of one task's head for one picture; the sheet's table leaves out its last, 1x1 convolution."""
    patches, width = math.prod(grid_of(image_size)), config.decoder_width
    places = [patches * 4**index for index in range(DECODER_CONVOLUTIONS)]
    inputs = (config.width, *(width,) * (DECODER_CONVOLUTIONS - 1))
    convolutions = sum(9 * each * width * size for each, size in zip(inputs, places, strict=True))
    return convolutions + width * channels * places[-1]


def grid_of(image_size: tuple[int, int]) -> tuple[int, int]:
    """The patches (rows, columns) of a picture (height, width). Raises `UsageError` unless they are whole."""
    if min(image_size) < PATCH or any(side % PATCH for side in image_size):
        raise UsageError(
            f"M3ViT cannot take pictures of {image_size[0]}x{image_size[1]} pixels",
            hint=f"its patches are {PATCH} pixels: both sides must be multiples of that",
        )
    return image_size[0] // PATCH, image_size[1] // PATCH
