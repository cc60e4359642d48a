"""The two attentions of EfficientFormerV2, as trained and as deployed: within a stage, and on the way into the last."""

from __future__ import annotations

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.models.efficientformer_parts import BiasedAttention, join_heads, per_image, split_heads
from edge.models.fold import add_identity, scale_outputs
from edge.models.layers import ConvNorm
from edge.models.stage_maps import MapSize, strided


class Attention(BiasedAttention):
    """Attention over the places of (B, C, H, W) maps with talking heads and a local path for the values.

    With a stride of 2 it looks at every other row and column and enlarges its answer again, so both sides must be even.
    """

    def __init__(
        self, channels: int, map_size: MapSize, *, stride: int, heads: int, key_dim: int, value_dim: int
    ) -> None:
        super().__init__(heads, strided(map_size, stride), query_stride=1, index_in_state=False)
        width = heads * value_dim
        self.scale = key_dim**-0.5
        self.stride_conv = _depthwise(channels, stride) if stride > 1 else nn.Identity()
        self.upsample = nn.Upsample(scale_factor=stride, mode="bilinear") if stride > 1 else nn.Identity()
        self.q = ConvNorm(channels, heads * key_dim, bias=True)
        self.k = ConvNorm(channels, heads * key_dim, bias=True)
        self.v = ConvNorm(channels, width, bias=True)
        self.v_local = _depthwise(width, stride=1)
        self.talking_head1 = nn.Conv2d(heads, heads, 1)
        self.talking_head2 = nn.Conv2d(heads, heads, 1)
        self.proj = ConvNorm(width, channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stride_conv(x)
        q, k, v = self.q(x), self.k(x), self.v(x)
        scores = _places(q, self.heads) @ _places(k, self.heads).transpose(2, 3) * self.scale + self.bias()
        shares = self.talking_head2(self.talking_head1(scores).softmax(-1))
        mixed = _map_like(shares @ _places(v, self.heads), q)
        return self.proj(F.gelu(self.upsample(mixed + self.v_local(v))))

    def deploy(self, layer_scale: Tensor) -> nn.Module:
        """`layer_scale · self(x)`.

        The first talking head is linear, so it also takes the bias (h, N, N), ahead of time: W(S + b) + c = W S + (W b + c).
        """
        with torch.no_grad():
            bias = self.talking_head1(self.bias().unsqueeze(0)).squeeze(0)
        core = DeployedAttention(
            q=scale_outputs(self.q.fold(), torch.tensor(self.scale)),
            k=self.k.fold(),
            v=self.v.fold(),
            v_local=self.v_local.fold(),
            before_softmax=TalkingHead(_without_bias(self.talking_head1)),
            after_softmax=TalkingHead(deepcopy(self.talking_head2)),
            bias=bias,
        )
        out = (nn.GELU(), scale_outputs(self.proj.fold(), layer_scale))
        if isinstance(self.stride_conv, ConvNorm):
            return nn.Sequential(self.stride_conv.fold(), core, deepcopy(self.upsample), *out)
        return nn.Sequential(core, *out)


class AttentionDownsample(BiasedAttention):
    """Attention from every other place to all places: (B, C, H, W) to (B, C', H/2, W/2), rounded up."""

    def __init__(
        self, channels: int, out_channels: int, map_size: MapSize, *, heads: int, key_dim: int, value_dim: int
    ) -> None:
        super().__init__(heads, map_size, query_stride=2, index_in_state=False)
        width = heads * value_dim
        self.scale = key_dim**-0.5
        self.q = StridedQuery(channels, heads * key_dim)
        self.k = ConvNorm(channels, heads * key_dim, bias=True)
        self.v = ConvNorm(channels, width, bias=True)
        self.v_local = _depthwise(width, stride=2)
        self.proj = ConvNorm(width, out_channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.q(x), self.k(x), self.v(x)
        scores = _places(q, self.heads) @ _places(k, self.heads).transpose(2, 3) * self.scale + self.bias()
        mixed = _map_like(scores.softmax(-1) @ _places(v, self.heads), q)
        return self.proj(F.gelu(mixed + self.v_local(v)))

    def deploy(self) -> nn.Module:
        core = DeployedAttention(
            q=nn.Sequential(add_identity(self.q.local), scale_outputs(self.q.proj.fold(), torch.tensor(self.scale))),
            k=self.k.fold(),
            v=self.v.fold(),
            v_local=self.v_local.fold(),
            before_softmax=nn.Identity(),
            after_softmax=nn.Identity(),
            bias=self.bias(),
        )
        return nn.Sequential(core, nn.GELU(), self.proj.fold())


class StridedQuery(nn.Module):
    """Every other place plus a depthwise look around it, projected: (B, C, H, W) to (B, C', H/2, W/2), rounded up."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.local = nn.Conv2d(channels, channels, 3, 2, 1, groups=channels)
        self.proj = ConvNorm(channels, out_channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(self.local(x) + x[:, :, ::2, ::2])


class DeployedAttention(nn.Module):
    """The heart of both attentions, up to the activation: queries (B, C, H, W) give (B, heads·value, H', W').

    Heads are split from channels-last, and the softmax has rank 3: of a 4-D one that comes from a convolution,
    ExecuTorch 1.4.1 makes something else.
    """

    bias: Tensor

    def __init__(
        self,
        *,
        q: nn.Module,
        k: nn.Module,
        v: nn.Module,
        v_local: nn.Module,
        before_softmax: nn.Module,
        after_softmax: nn.Module,
        bias: Tensor,
    ) -> None:
        super().__init__()
        self.q, self.k, self.v, self.v_local = q, k, v, v_local
        self.before_softmax, self.after_softmax = before_softmax, after_softmax
        self.register_buffer("bias", bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        heads = self.bias.shape[0]
        values = self.v(x)
        q, k, v = (split_heads(_tokens(each), heads) for each in (self.q(x), self.k(x), values))
        scores = self.before_softmax(torch.bmm(q, k.transpose(1, 2))) + per_image(self.bias, x.shape[0])
        shares = self.after_softmax(scores.softmax(-1))
        local = self.v_local(values)
        batch, channels, height, width = local.shape
        mixed = join_heads(torch.bmm(shares, v), heads).reshape(batch, height, width, channels)
        return mixed.permute(0, 3, 1, 2) + local


class TalkingHead(nn.Module):
    """A 1x1 convolution across the heads of (B·heads, N, M) scores."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, scores: Tensor) -> Tensor:
        return self.conv(scores.reshape(-1, self.conv.in_channels, *scores.shape[1:])).reshape(scores.shape)


def _depthwise(channels: int, stride: int) -> ConvNorm:
    return ConvNorm(channels, channels, 3, stride, 1, groups=channels, bias=True)


def _places(maps: Tensor, heads: int) -> Tensor:
    """(B, heads·d, H, W) to (B, heads, H·W, d)."""
    return maps.unflatten(1, (heads, -1)).flatten(3).transpose(2, 3)


def _map_like(places: Tensor, maps: Tensor) -> Tensor:
    """(B, heads, H·W, d) to (B, heads·d, H, W), H and W those of `maps`."""
    return places.transpose(2, 3).reshape(maps.shape[0], -1, *maps.shape[2:])


def _tokens(maps: Tensor) -> Tensor:
    """(B, C, H, W) to (B, H·W, C)."""
    return maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1, maps.shape[1])


def _without_bias(conv: nn.Conv2d) -> nn.Conv2d:
    bare = deepcopy(conv)
    bare.bias = None
    return bare
