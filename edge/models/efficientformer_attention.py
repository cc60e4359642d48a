"""The attention of EfficientFormer, as trained and as deployed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge.models.efficientformer_parts import BiasedAttention, join_heads, per_image, split_heads
from edge.models.fold import fold_layer_norm_affine, scale_outputs
from edge.models.stage_maps import MapSize


class Attention(BiasedAttention):
    """Attention over (B, N, C) tokens of one map; the rows of `qkv` stand head by head: keys, queries, values of each."""

    def __init__(self, channels: int, tokens_map: MapSize, *, heads: int, key_dim: int, value_dim: int) -> None:
        super().__init__(heads, tokens_map, query_stride=1, index_in_state=True)
        self.key_dim, self.value_dim = key_dim, value_dim
        self.scale = key_dim**-0.5
        self.qkv = nn.Linear(channels, heads * (2 * key_dim + value_dim))
        self.proj = nn.Linear(heads * value_dim, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        by_head = self.qkv(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
        q, k, v = by_head.split((self.key_dim, self.key_dim, self.value_dim), dim=-1)
        scores = (q @ k.transpose(2, 3)) * self.scale + self.bias()
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))

    def deploy(self, norm: nn.LayerNorm, layer_scale: Tensor) -> nn.Module:
        """`layer_scale · self(norm(x))` as one module without the norm's affine half."""
        bare, qkv = fold_layer_norm_affine(norm, self.qkv)
        q, k, v = self._split_rows(qkv)
        proj = scale_outputs(self.proj, layer_scale)
        return nn.Sequential(
            bare, DeployedAttention(scale_outputs(q, torch.tensor(self.scale)), k, v, proj, self.bias())
        )

    def _split_rows(self, qkv: nn.Linear) -> list[nn.Linear]:
        """The three linears whose rows, head by head, are interleaved in `qkv`."""
        widths = (self.key_dim, self.key_dim, self.value_dim)
        weights = qkv.weight.detach().unflatten(0, (self.heads, -1)).split(widths, dim=1)
        biases = qkv.bias.detach().unflatten(0, (self.heads, -1)).split(widths, dim=1)
        return [_linear(w.flatten(0, 1), b.flatten()) for w, b in zip(weights, biases, strict=True)]


class DeployedAttention(nn.Module):
    """Attention with a constant bias and a query that is scaled already; (B, N, C) to the same.

    The softmax has rank 3: of a 4-D one, some runtimes make something else.
    """

    bias: Tensor

    def __init__(self, q: nn.Linear, k: nn.Linear, v: nn.Linear, proj: nn.Linear, bias: Tensor) -> None:
        super().__init__()
        self.q, self.k, self.v, self.proj = q, k, v, proj
        self.register_buffer("bias", bias.detach().clone())

    def forward(self, tokens: Tensor) -> Tensor:
        heads = self.bias.shape[0]
        q, k, v = (split_heads(layer(tokens), heads) for layer in (self.q, self.k, self.v))
        scores = torch.bmm(q, k.transpose(1, 2)) + per_image(self.bias, tokens.shape[0])
        return self.proj(join_heads(torch.bmm(scores.softmax(-1), v), heads))


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    made.weight, made.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
    return made
