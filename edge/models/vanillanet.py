"""VanillaNet 5-13 (arXiv 2305.12972): convolutions in a row, trained twice as deep as they are deployed.

Between the two convolutions of a block stands a leaky ReLU whose slope, the leak, grows from 0 to 1 during training; at
1 it is the identity and the pair merges into one convolution.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.errors import ConversionError, UsageError
from edge.models.catalog import entry
from edge.models.fold import fold_conv_bn, merge_pointwise, require_no_batchnorm
from edge.models.vanillanet_config import STEM_KERNEL, VARIANTS, VanillaNetConfig
from edge.suggest import unknown

BN_EPS = 1e-6
"""The authors' epsilon (models.md §9.8), not torch's."""


class LeakSchedule(StrEnum):
    """How the leak grows."""

    LINEAR = "linear"
    COSINE = "cosine"


def leak_at(epoch: int, decay_epochs: int, schedule: LeakSchedule = LeakSchedule.LINEAR) -> float:
    """The leak of `epoch`, counted from 0: 0 in the first, 1 from `decay_epochs` on (the authors: 100 of 300 epochs)."""
    if epoch >= decay_epochs:
        return 1.0
    share = epoch / decay_epochs
    return share if schedule == LeakSchedule.LINEAR else (1 - math.cos(math.pi * share)) / 2


class SeriesActivation(nn.Module):
    """A weighted sum of a ReLU's neighbours, normalised: (B, C, H, W) to the same."""

    def __init__(self, channels: int, series: int) -> None:
        super().__init__()
        self.series = series
        self.weight = nn.Parameter(torch.empty(channels, 1, 2 * series + 1, 2 * series + 1))
        self.bn = _norm(channels)
        nn.init.trunc_normal_(self.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(F.conv2d(torch.relu(x), self.weight, padding=self.series, groups=len(self.weight)))

    def deploy(self) -> MergedActivation:
        with torch.device("meta"):
            merged = MergedActivation(len(self.weight), self.series)
        merged.weight, merged.bias = self.weight, None
        folded = fold_conv_bn(merged, self.bn)
        merged.weight, merged.bias = folded.weight, folded.bias
        return merged


class MergedActivation(nn.Conv2d):
    """A series-informed activation for inference: (B, C, H, W) to the same."""

    def __init__(self, channels: int, series: int) -> None:
        super().__init__(channels, channels, 2 * series + 1, padding=series, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.relu(x))


class VanillaBlock(nn.Module):
    """Two 1x1 convolutions, a pool and an activation: (B, C, H, W) to (B, C', H', W')."""

    def __init__(self, channels: int, out_channels: int, pool: nn.Module, series: int) -> None:
        super().__init__()
        self.leak = 1.0
        self.conv1 = nn.Sequential(nn.Conv2d(channels, channels, 1), _norm(channels))
        self.conv2 = nn.Sequential(nn.Conv2d(channels, out_channels, 1), _norm(out_channels))
        self.pool = pool
        self.act = SeriesActivation(out_channels, series)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(F.leaky_relu(self.conv1(x), self.leak))
        return self.act(self.pool(x))

    def merged(self) -> nn.Conv2d:
        """Both convolutions as one, exact at a leak of 1."""
        return merge_pointwise(_folded(self.conv1), _folded(self.conv2))


class MergedBlock(nn.Module):
    """A block for inference: (B, C, H, W) to (B, C', H', W')."""

    def __init__(self, channels: int, out_channels: int, pool: nn.Module, series: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels, 1)
        self.pool = pool
        self.act = MergedActivation(out_channels, series)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.pool(self.conv(x)))


class GlobalMean(nn.Module):
    """The mean of each map, kept: (B, C, H, W) to (B, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True)


class DeployedVanillaNet(nn.Module):
    """The network for inference: (B, 3, H, W) to (B, classes); keys are named as in the authors' deployed checkpoints."""

    def __init__(self, config: VanillaNetConfig, *, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(_stem_convolution(config), MergedActivation(config.widths[0], config.series))
        self.stages = nn.Sequential(*(MergedBlock(*block, config.series) for block in _blocks(config)))
        self.cls = nn.Sequential(GlobalMean(), nn.Identity(), nn.Conv2d(config.widths[-1], num_classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.cls(self.stages(self.stem(x))).flatten(1)


class VanillaNet(nn.Module):
    """The network in its training form: (B, 3, H, W) to (B, classes); keys are named as in the authors' checkpoints.

    The leak is 1 in a fresh network and is no part of the state dict: training sets it, and a copy must be set alike.
    """

    def __init__(self, config: VanillaNetConfig, *, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.num_classes = num_classes
        self.leak = 1.0
        stem, last = config.widths[0], config.widths[-1]
        self.stem1 = nn.Sequential(_stem_convolution(config), _norm(stem))
        self.stem2 = nn.Sequential(nn.Conv2d(stem, stem, 1), _norm(stem), SeriesActivation(stem, config.series))
        self.stages = nn.Sequential(*(VanillaBlock(*block, config.series) for block in _blocks(config)))
        self.cls1 = nn.Sequential(GlobalMean(), nn.Identity(), nn.Conv2d(last, num_classes, 1), _norm(num_classes))
        self.cls2 = nn.Sequential(nn.Conv2d(num_classes, num_classes, 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(cast(Tensor, module.bias))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.stem2(F.leaky_relu(self.stem1(x), self.leak)))
        return self.cls2(F.leaky_relu(self.cls1(x), self.leak)).flatten(1)

    def set_leak(self, value: float) -> None:
        """Set the slope of the leaky ReLUs for negative inputs: 0 is a ReLU, 1 the identity."""
        self.leak = value
        for block in self._vanilla_blocks():
            block.leak = value

    def deploy(self) -> DeployedVanillaNet:
        """The merged form for inference. Raises `ConversionError` while the leak is below 1."""
        if self.leak < 1:
            raise ConversionError(
                f"this VanillaNet cannot be merged: its leak is {self.leak:.3g}, so its activations are not linear yet",
                hint="train until the leak is 1, that is past the last of the leak epochs",
            )
        with torch.device("meta"):
            made = DeployedVanillaNet(self.config, num_classes=self.num_classes)
        made.stem[0] = merge_pointwise(_folded(self.stem1), _folded(self.stem2))
        made.stem[1] = cast(SeriesActivation, self.stem2[2]).deploy()
        for block, merged in zip(self._vanilla_blocks(), made.stages, strict=True):
            merged.conv, merged.act = block.merged(), block.act.deploy()
        made.cls[2] = merge_pointwise(_folded(self.cls1, at=2), cast(nn.Conv2d, self.cls2[0]))
        require_no_batchnorm(made)
        return made.eval()

    def fold_batchnorm(self) -> nn.Module:
        """The merged form: folding and merging cannot be told apart in this family."""
        return self.deploy()

    def official_names(self) -> dict[str, str]:
        """Our key to the key of the authors' checkpoints: they are the same."""
        return {key: key for key in self.state_dict()}

    def official_state(self) -> dict[str, Tensor]:
        """The state dict as the authors' code names it."""
        return dict(self.state_dict())

    def adapt_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`state` as it is: no weight depends on the input size."""
        return dict(state)

    def _vanilla_blocks(self) -> Iterator[VanillaBlock]:
        return (cast(VanillaBlock, block) for block in self.stages)


def build(name: str, *, num_classes: int | None = None, image_size: tuple[int, int] | None = None) -> VanillaNet:
    """The variant called `name` with fresh weights, in its training form; `None` takes the catalog's value.

    Raises `UnknownNameError`, or `UsageError` for an image that is too small.
    """
    return VanillaNet(_config(name, image_size), num_classes=num_classes or entry(name).num_classes)


def build_deploy(
    name: str, *, num_classes: int | None = None, image_size: tuple[int, int] | None = None
) -> DeployedVanillaNet:
    """The variant called `name` in its deployed form, for a checkpoint of merged weights; else as `build`."""
    return DeployedVanillaNet(_config(name, image_size), num_classes=num_classes or entry(name).num_classes).eval()


def _config(name: str, image_size: tuple[int, int] | None) -> VanillaNetConfig:
    if name not in VARIANTS:
        raise unknown("model", name, VARIANTS)
    config, size = VARIANTS[name], image_size or (entry(name).input_size,) * 2
    if min(size) < config.least_side:
        raise UsageError(
            f"{name} cannot take images of {size[0]}x{size[1]} pixels",
            hint=f"its pools need images of at least {config.least_side} pixels on both sides",
        )
    return config


def _blocks(config: VanillaNetConfig) -> Iterator[tuple[int, int, nn.Module]]:
    """Channels in, channels out, and the pool of each block."""
    sides = iter(config.pooled_sides)
    for channels, out_channels, stride in zip(config.widths, config.widths[1:], config.strides, strict=False):
        if stride == 1:
            yield channels, out_channels, nn.Identity()
        elif config.pooled_sides:
            yield channels, out_channels, nn.AdaptiveMaxPool2d(next(sides))
        else:
            yield channels, out_channels, nn.MaxPool2d(stride)


def _stem_convolution(config: VanillaNetConfig) -> nn.Conv2d:
    return nn.Conv2d(3, config.widths[0], STEM_KERNEL, config.stem_stride, config.stem_padding)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BN_EPS)


def _folded(layers: nn.Sequential, at: int = 0) -> nn.Conv2d:
    """The convolution that stands at `at` and the batch norm behind it, as one convolution."""
    return fold_conv_bn(cast(nn.Conv2d, layers[at]), cast(nn.BatchNorm2d, layers[at + 1]))
