"""The layers that more than one family of networks is made of."""

from __future__ import annotations

import math
from typing import Protocol, cast

import torch.nn.functional as F
from torch import Tensor, nn

from edge.errors import WeightsError
from edge.models.fold import fold_conv_bn


class Deployable(Protocol):
    """A part of a network that has a fast inference form of its own."""

    def deploy(self) -> nn.Module: ...


def deploy_each(parts: nn.Sequential) -> list[nn.Module]:
    """The inference forms of parts that are all `Deployable`."""
    return [cast(Deployable, part).deploy() for part in parts]


def deployed(part: nn.Module) -> nn.Module:
    """The inference form of a part that has one of its own, else the part itself."""
    deploy = getattr(part, "deploy", None)
    return (deploy() if callable(deploy) else part).eval()


class ConvNorm(nn.Module):
    """A convolution and its batch norm: (B, in, H, W) to (B, out, H', W'), in submodules `conv` and `bn`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        padding: int = 0,
        *,
        groups: int = 1,
        bias: bool = False,
        bn_weight_init: float = 1.0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=bias)
        self.bn = nn.BatchNorm2d(out_channels)
        nn.init.constant_(self.bn.weight, bn_weight_init)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))

    def fold(self) -> nn.Conv2d:
        """The same function as one convolution with a bias."""
        return fold_conv_bn(self.conv, self.bn)


def resize_bias_table(table: Tensor, new_resolution: tuple[int, int]) -> Tensor:
    """An attention-bias table (heads, L·L) of a square map, for a map of `new_resolution` (h, w): (heads, h·w).

    Column r·L + c holds the bias of two places r rows and c columns apart, so it is resized like a picture, bicubic.
    A table that has h·w columns already comes back as it is. Raises `WeightsError` for one that is not of a square map.
    """
    heads, columns = table.shape
    height, width = new_resolution
    if columns == height * width:
        return table
    side = math.isqrt(columns)
    if side * side != columns:
        raise WeightsError(
            f"an attention-bias table of {columns} columns cannot be resized to {height}x{width}",
            hint="only tables saved at a square input size can move to another size",
        )
    picture = table.detach().float().reshape(1, heads, side, side)
    resized = F.interpolate(picture, size=new_resolution, mode="bicubic", align_corners=False)
    return resized.reshape(heads, height * width).to(table.dtype)


class MeanHead(nn.Module):
    """The spatial mean of (B, C, H, W), classified by a 1x1 convolution: (B, classes).

    Mobile runtimes delegate a mean only over the two axes of a picture, kept; hence the convolution.
    """

    def __init__(self, classifier: nn.Linear) -> None:
        super().__init__()
        classes, channels = classifier.weight.shape
        self.classifier = nn.Conv2d(channels, classes, 1, device="meta")
        self.classifier.weight = nn.Parameter(classifier.weight.detach().reshape(classes, channels, 1, 1))
        self.classifier.bias = nn.Parameter(classifier.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(x.mean((2, 3), keepdim=True))
        return logits.reshape(logits.shape[0], -1)
