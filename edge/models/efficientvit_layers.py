"""EfficientViT's training layers (arXiv 2305.07027), each of which knows its fast form for inference."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.models.efficientvit_deploy import FastAttentionHead, FastWindowAttention
from edge.models.fold import add_identity, fold_bn_linear
from edge.models.layers import ConvNorm, MeanHead, deploy_each


def folded(layer: nn.Module) -> nn.Conv2d:
    """A `ConvNorm` out of a container, as one convolution."""
    return cast(ConvNorm, layer).fold()


class Residual(nn.Module):
    """x + m(x)."""

    def __init__(self, m: nn.Module) -> None:
        super().__init__()
        self.m = m

    def forward(self, x: Tensor) -> Tensor:
        return x + self.m(x)


class ResidualDepthwise(Residual):
    """x plus its 3x3 depthwise convolution: (B, C, H, W) to the same."""

    m: ConvNorm

    def __init__(self, channels: int, *, bn_weight_init: float = 1.0) -> None:
        super().__init__(ConvNorm(channels, channels, 3, 1, 1, groups=channels, bn_weight_init=bn_weight_init))

    def deploy(self) -> nn.Conv2d:
        return add_identity(self.m.fold())


class FeedForward(nn.Module):
    """Two 1x1 convolutions over twice the channels: (B, C, H, W) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pw1 = ConvNorm(channels, 2 * channels)
        self.pw2 = ConvNorm(2 * channels, channels, bn_weight_init=0)

    def forward(self, x: Tensor) -> Tensor:
        return self.pw2(torch.relu(self.pw1(x)))

    def deploy(self) -> nn.Module:
        return nn.Sequential(self.pw1.fold(), nn.ReLU(), self.pw2.fold())


class ResidualFeedForward(Residual):
    """x plus its feed-forward: (B, C, H, W) to the same."""

    m: FeedForward

    def __init__(self, channels: int) -> None:
        super().__init__(FeedForward(channels))

    def deploy(self) -> nn.Module:
        return Residual(self.m.deploy())


class SqueezeExcite(nn.Module):
    """Channels weighted by what the whole map holds: (B, C, H, W) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 4, 1)
        self.fc2 = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.fc2(torch.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(weights)


class PatchMerging(nn.Module):
    """Half the map, other channels: (B, C, H, W) to (B, C', ceil(H / 2), ceil(W / 2))."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        hidden = 4 * channels
        self.conv1 = ConvNorm(channels, hidden)
        self.conv2 = ConvNorm(hidden, hidden, 3, 2, 1, groups=hidden)
        self.se = SqueezeExcite(hidden)
        self.conv3 = ConvNorm(hidden, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv2(torch.relu(self.conv1(x))))
        return self.conv3(self.se(x))

    def deploy(self) -> nn.Module:
        first, second, third = (layer.fold() for layer in (self.conv1, self.conv2, self.conv3))
        return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), copy.deepcopy(self.se), third)


class CascadedGroupAttention(nn.Module):
    """Heads on shares of the channels, each fed its share plus the previous head's output: (W, C, n, n) to the same.

    `kernels[i]` is the query's depthwise kernel in head i. The learned bias of two places depends on how many rows and
    columns lie between them, and is looked up on every pass: a table loaded later counts at once.
    """

    attention_bias_idxs: Tensor

    def __init__(self, channels: int, key_width: int, heads: int, window: int, kernels: tuple[int, ...]) -> None:
        super().__init__()
        share = channels // heads
        self.key_width = key_width
        self.qkvs = nn.ModuleList(ConvNorm(share, 2 * key_width + share) for _ in range(heads))
        self.dws = nn.ModuleList(
            ConvNorm(key_width, key_width, kernel, 1, kernel // 2, groups=key_width) for kernel in kernels[:heads]
        )
        self.proj = nn.Sequential(nn.ReLU(), ConvNorm(channels, channels, bn_weight_init=0))
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        self.register_buffer("attention_bias_idxs", _distance_index(window), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        biases = self.attention_biases[:, self.attention_bias_idxs]
        outputs: list[Tensor] = []
        shares = x.chunk(len(self.qkvs), dim=1)
        for share, qkv, depthwise, bias in zip(shares, self.qkvs, self.dws, biases, strict=True):
            q, k, v = _split_qkv(qkv(share + outputs[-1] if outputs else share), self.key_width)
            q = depthwise(q).flatten(2) * self.key_width**-0.5
            attention = (q.transpose(1, 2) @ k.flatten(2) + bias).softmax(dim=-1)
            outputs.append((v.flatten(2) @ attention.transpose(1, 2)).reshape(v.shape))
        return self.proj(torch.cat(outputs, dim=1))

    def fast_heads(self) -> list[FastAttentionHead]:
        biases = self.attention_biases[:, self.attention_bias_idxs]
        return [
            FastAttentionHead(folded(qkv), folded(depthwise), bias)
            for qkv, depthwise, bias in zip(self.qkvs, self.dws, biases, strict=True)
        ]


class LocalWindowAttention(nn.Module):
    """Cascaded attention within square windows: (B, C, H, W) to the same.

    A map that is not a multiple of the window is padded with zeros at the bottom and the right; the published network
    does not mask them.
    """

    def __init__(self, channels: int, key_width: int, heads: int, window: int, kernels: tuple[int, ...]) -> None:
        super().__init__()
        self.window = window
        self.attn = CascadedGroupAttention(channels, key_width, heads, window, kernels)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        n = self.window
        padded = F.pad(x, (0, -width % n, 0, -height % n))
        rows, columns = padded.shape[2] // n, padded.shape[3] // n
        windows = padded.reshape(batch, channels, rows, n, columns, n).permute(0, 2, 4, 1, 3, 5)
        mixed = self.attn(windows.reshape(-1, channels, n, n))
        mixed = mixed.reshape(batch, rows, columns, channels, n, n).permute(0, 3, 1, 4, 2, 5)
        return mixed.reshape(padded.shape)[:, :, :height, :width]


class ResidualWindowAttention(Residual):
    """x plus its window attention: (B, C, H, W) to the same."""

    m: LocalWindowAttention

    def deploy(self) -> FastWindowAttention:
        return FastWindowAttention(self.m.attn.fast_heads(), folded(self.m.attn.proj[1]), self.m.window)


class SandwichBlock(nn.Module):
    """One attention between two depthwise convolutions and two feed-forwards: (B, C, H, W) to the same."""

    def __init__(self, channels: int, attention: LocalWindowAttention) -> None:
        super().__init__()
        self.dw0 = ResidualDepthwise(channels, bn_weight_init=0)
        self.ffn0 = ResidualFeedForward(channels)
        self.mixer = ResidualWindowAttention(attention)
        self.dw1 = ResidualDepthwise(channels, bn_weight_init=0)
        self.ffn1 = ResidualFeedForward(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.ffn1(self.dw1(self.mixer(self.ffn0(self.dw0(x)))))

    def deploy(self) -> nn.Module:
        return nn.Sequential(*(layer.deploy() for layer in (self.dw0, self.ffn0, self.mixer, self.dw1, self.ffn1)))


class Subsample(nn.Sequential):
    """Between two stages: (B, C, H, W) to (B, C', ceil(H / 2), ceil(W / 2))."""

    res1: nn.Sequential
    patchmerge: PatchMerging
    res2: nn.Sequential

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(
            OrderedDict(
                res1=nn.Sequential(ResidualDepthwise(channels), ResidualFeedForward(channels)),
                patchmerge=PatchMerging(channels, out_channels),
                res2=nn.Sequential(ResidualDepthwise(out_channels), ResidualFeedForward(out_channels)),
            )
        )

    def deploy(self) -> nn.Module:
        return nn.Sequential(*deploy_each(self.res1), self.patchmerge.deploy(), *deploy_each(self.res2))


class Stage(nn.Module):
    """Blocks at one resolution, behind a subsampling where the stage is not the first."""

    def __init__(self, downsample: Subsample | nn.Identity, blocks: list[SandwichBlock]) -> None:
        super().__init__()
        self.downsample = downsample
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))

    def deploy(self) -> nn.Module:
        before = [self.downsample.deploy()] if isinstance(self.downsample, Subsample) else []
        return nn.Sequential(*before, *deploy_each(self.blocks))


class PatchEmbedding(nn.Sequential):
    """Overlapping patches: `convolutions` 3x3 of stride 2, (B, 3, H, W) to (B, C, ceil(H / 2^k), ceil(W / 2^k))."""

    def __init__(self, channels: int, convolutions: int) -> None:
        widths = [3, *(channels >> (convolutions - 1 - index) for index in range(convolutions))]
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for index in range(convolutions):
            if index:
                layers[f"relu{index}"] = nn.ReLU()
            layers[f"conv{index + 1}"] = ConvNorm(widths[index], widths[index + 1], 3, 2, 1)
        super().__init__(layers)

    def deploy(self) -> nn.Module:
        return nn.Sequential(*(layer.fold() if isinstance(layer, ConvNorm) else nn.ReLU() for layer in self))


class NormLinear(nn.Module):
    """A batch norm and a classifier: (B, C) to (B, classes)."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(channels)
        self.linear = nn.Linear(channels, num_classes)
        nn.init.trunc_normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.bn(x))

    def fold(self) -> nn.Linear:
        return fold_bn_linear(self.bn, self.linear)

    def deploy(self) -> MeanHead:
        return MeanHead(self.fold())


def _distance_index(window: int) -> Tensor:
    """Which column of the bias table two places of a window share, (n², n²): rows apart · n + columns apart."""
    places = torch.cartesian_prod(torch.arange(window), torch.arange(window))
    apart = (places[:, None] - places[None]).abs()
    return apart[..., 0] * window + apart[..., 1]


def _split_qkv(qkv: Tensor, key_width: int) -> tuple[Tensor, Tensor, Tensor]:
    return qkv[:, :key_width], qkv[:, key_width : 2 * key_width], qkv[:, 2 * key_width :]
