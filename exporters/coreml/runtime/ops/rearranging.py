"""Blocks of pixels that move into channels or the batch, and back."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from exporters.coreml.runtime.ops.sizes import affordable
from exporters.coreml.runtime.ops.table import Table, family, integer, integers

TABLE: Table = {}
operator = family(TABLE)


@operator("pixel_shuffle")
def pixel_shuffle(x: Tensor, upscale_factor: Tensor) -> Tensor:
    """x (B, C f², H, W), the place in a block counting fastest among the channels."""
    return F.pixel_shuffle(x, integer(upscale_factor))


@operator("pixel_unshuffle")
def pixel_unshuffle(x: Tensor, downscale_factor: Tensor) -> Tensor:
    return F.pixel_unshuffle(x, integer(downscale_factor))


@operator("depth_to_space")
def depth_to_space(x: Tensor, block_size: Tensor) -> Tensor:
    """x (B, b² C, H, W), the place in a block counting slowest among the channels, unlike `pixel_shuffle`."""
    size = integer(block_size)
    batch, channels, height, width = x.shape
    blocks = x.reshape(batch, size, size, channels // size**2, height, width)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(batch, -1, height * size, width * size)


@operator("space_to_depth")
def space_to_depth(x: Tensor, block_size: Tensor) -> Tensor:
    size = integer(block_size)
    batch, channels, height, width = x.shape
    blocks = x.reshape(batch, channels, height // size, size, width // size, size)
    return blocks.permute(0, 3, 5, 1, 2, 4).reshape(batch, -1, height // size, width // size)


@operator("space_to_batch")
def space_to_batch(x: Tensor, block_shape: Tensor, paddings: Tensor) -> Tensor:
    """`paddings` are (top, bottom), (left, right)."""
    tall, wide = integers(block_shape)
    top, bottom, left, right = integers(paddings)
    affordable((*x.shape[:2], x.shape[2] + top + bottom, x.shape[3] + left + right))
    padded = F.pad(x, (left, right, top, bottom))
    batch, channels, height, width = padded.shape
    blocks = padded.reshape(batch, channels, height // tall, tall, width // wide, wide)
    return blocks.permute(3, 5, 0, 1, 2, 4).reshape(-1, channels, height // tall, width // wide)


@operator("batch_to_space")
def batch_to_space(x: Tensor, block_shape: Tensor, crops: Tensor) -> Tensor:
    """`crops` are (top, bottom), (left, right)."""
    tall, wide = integers(block_shape)
    top, bottom, left, right = integers(crops)
    batch, channels, height, width = x.shape
    blocks = x.reshape(tall, wide, batch // (tall * wide), channels, height, width)
    whole = blocks.permute(2, 3, 4, 0, 5, 1).reshape(-1, channels, height * tall, width * wide)
    return whole[:, :, top : height * tall - bottom, left : width * wide - right]
