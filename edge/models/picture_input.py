"""Puts a picture in front of a network: the bytes go in, the normalisation runs inside the graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge.card import TensorSpec
from edge.preprocess import Preprocess
from edge.spec import PictureLayout


class PictureInput(nn.Module):
    """`network((x / 255 - mean) / std)` for one picture, 0..255.

    The normalisation stands before the network's own zero padding, so it is exact at the borders (folding it into a
    padded first convolution is not).
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, preprocess: Preprocess, layout: PictureLayout) -> None:
        super().__init__()
        self.network = network
        self.layout = layout
        mean = torch.tensor(preprocess.mean, dtype=torch.float64)
        std = torch.tensor(preprocess.std, dtype=torch.float64)
        self.register_buffer("scale", (1 / (255 * std)).float().reshape(1, 3, 1, 1))
        self.register_buffer("shift", (-mean / std).float().reshape(1, 3, 1, 1))

    def forward(self, picture: Tensor) -> Tensor:
        """`picture`: uint8 (B, H, W, 3) for `BYTES_NHWC`, float32 (B, 3, H, W) for `PLANES_NCHW`."""
        planes = picture.float().permute(0, 3, 1, 2) if self.layout is PictureLayout.BYTES_NHWC else picture
        return self.network(planes * self.scale + self.shift)


def picture_spec(name: str, preprocess: Preprocess, layout: PictureLayout) -> TensorSpec:
    """The input that `PictureInput` takes."""
    height, width = preprocess.height, preprocess.width
    if layout is PictureLayout.BYTES_NHWC:
        return TensorSpec(name, (1, height, width, 3), "uint8", layout.value)
    return TensorSpec(name, (1, 3, height, width), "float32", layout.value)
