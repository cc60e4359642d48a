"""The tasks of M3ViT and the decoder that turns a task's tokens into its map (moe_fpga sheet §1.3)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from edge.models.layers import ConvNorm
from edge.models.m3vit_config import DECODER_CONVOLUTIONS


class MapHead(nn.Module):
    """One task's decoder: tokens (B, 1 + h·w, d), class token first, to a map (B, C, 16·h, 16·w).

    The last resizing to the picture's size that the paper's code does changes nothing here, as sizes are whole patches.
    """

    def __init__(self, width: int, decoder_width: int, channels: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.norm = nn.LayerNorm(width, eps=1e-6)
        inputs = (width, *(decoder_width,) * (DECODER_CONVOLUTIONS - 1))
        self.convs = nn.ModuleList(ConvNorm(each, decoder_width, 3, padding=1) for each in inputs)
        self.classifier = nn.Conv2d(decoder_width, channels, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.norm(tokens)[:, 1:].transpose(1, 2).unflatten(2, self.grid)
        for index, conv in enumerate(self.convs):
            x = F.relu(conv(_doubled(x) if index else x))
        return _doubled(self.classifier(x))

    def fold_batchnorm(self) -> None:
        """Fold each batch norm into its convolution, in place."""
        self.convs = nn.ModuleList(conv.fold() if isinstance(conv, ConvNorm) else conv for conv in self.convs)


def _doubled(x: Tensor) -> Tensor:
    """Sizes rather than a factor: onnxruntime's conversion to half precision fails on a factor that several layers share."""
    return F.interpolate(x, size=(2 * x.shape[2], 2 * x.shape[3]), mode="bilinear", align_corners=False)
