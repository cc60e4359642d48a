"""The convolutional parts of EfficientFormerV2 and the ways between its stages."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from edge.models.efficientformer_parts import Residual
from edge.models.efficientformer_v2_attention import AttentionDownsample
from edge.models.fold import scale_outputs
from edge.models.layers import ConvNorm
from edge.models.stage_maps import MapSize


class Stem(nn.Module):
    """Two 3x3 convolutions with GELU: (B, 3, H, W) to (B, C, H/s, W/s), s the product of their strides."""

    def __init__(self, channels: int, strides: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, channels // 2, 3, strides[0], 1, bias=True)
        self.conv2 = ConvNorm(channels // 2, channels, 3, strides[1], 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.conv2(F.gelu(self.conv1(x))))

    def deploy(self) -> nn.Module:
        return nn.Sequential(self.conv1.fold(), nn.GELU(), self.conv2.fold(), nn.GELU())


class Downsample(nn.Module):
    """A 3x3 convolution of stride 2: (B, C, H, W) to (B, C', H/2, W/2), rounded up."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = ConvNorm(channels, out_channels, 3, 2, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)

    def deploy(self) -> nn.Module:
        return self.conv.fold()


class DownsampleWithAttention(Downsample):
    """The same plus an attention from the places that are left to all."""

    def __init__(
        self, channels: int, out_channels: int, map_size: MapSize, *, heads: int, key_dim: int, value_dim: int
    ) -> None:
        super().__init__(channels, out_channels)
        self.attn = AttentionDownsample(
            channels, out_channels, map_size, heads=heads, key_dim=key_dim, value_dim=value_dim
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.attn(x)

    def deploy(self) -> nn.Module:
        return Sum(self.conv.fold(), self.attn.deploy())


class Sum(nn.Module):
    """`a(x) + b(x)`."""

    def __init__(self, a: nn.Module, b: nn.Module) -> None:
        super().__init__()
        self.a, self.b = a, b

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x) + self.b(x)


class Mlp(nn.Module):
    """The unified feed-forward block: 1x1, depthwise 3x3, 1x1 convolutions; (B, C, H, W) to the same."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = ConvNorm(channels, hidden, bias=True)
        self.mid = ConvNorm(hidden, hidden, 3, 1, 1, groups=hidden, bias=True)
        self.fc2 = ConvNorm(hidden, channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.mid(F.gelu(self.fc1(x)))))

    def deploy(self, layer_scale: Tensor) -> nn.Module:
        """`x + layer_scale · self(x)`."""
        fc2 = scale_outputs(self.fc2.fold(), layer_scale)
        return Residual(self.fc1.fold(), nn.GELU(), self.mid.fold(), nn.GELU(), fc2)
