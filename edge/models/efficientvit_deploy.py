"""EfficientViT's inference layers: the same functions as its training layers, in the order that runtimes execute fastest.

The shapes of the operators are chosen, not only their number: tokens stay channels-last, no tensor has more than four
dimensions, a softmax sees three. Every runtime then takes the network whole, without a copy between two layouts.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.models.fold import scale_outputs


class FastAttentionHead(nn.Module):
    """One head over windows of tokens: (W, N, d) to (W, N, d), N = window²."""

    bias: Tensor

    def __init__(self, qkv: nn.Conv2d, query_depthwise: nn.Conv2d, bias: Tensor) -> None:
        """`qkv`: folded 1x1 convolution to q, k and v; `bias`: what each query (row) adds to each key, (N, N)."""
        super().__init__()
        key_width = query_depthwise.in_channels
        self.q = _rows_as_linear(qkv, slice(0, key_width))
        self.k = _rows_as_linear(qkv, slice(key_width, 2 * key_width))
        self.v = _rows_as_linear(qkv, slice(2 * key_width, None))
        self.depthwise = scale_outputs(query_depthwise, torch.tensor(key_width**-0.5, dtype=torch.float64))
        self.register_buffer("bias", bias.detach().clone().unsqueeze(0))

    def forward(self, tokens: Tensor, window: int) -> Tensor:
        windows, places, _ = tokens.shape
        q = self.q(tokens).reshape(windows, window, window, -1).permute(0, 3, 1, 2)
        q = self.depthwise(q).permute(0, 2, 3, 1).reshape(windows, places, -1)
        logits = torch.bmm(q, self.k(tokens).transpose(1, 2)) + self.bias
        return torch.bmm(torch.softmax(logits, dim=-1), self.v(tokens))


class FastWindowAttention(nn.Module):
    """Cascaded heads within square windows, with the residual: (B, C, H, W) to the same.

    A map that is not a multiple of the window is padded with zeros at the bottom and the right, as in training.
    """

    def __init__(self, heads: list[FastAttentionHead], projection: nn.Conv2d, window: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)
        self.projection = projection
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        _, _, height, width = x.shape
        down, right = -height % self.window, -width % self.window
        padded = F.pad(x, (0, right, 0, down)) if down or right else x
        mixed = self._mix(padded)
        return x + self.projection(mixed[:, :, :height, :width] if down or right else mixed)

    def _mix(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same, H and W multiples of the window."""
        batch, channels, height, width = x.shape
        window, rows, columns = self.window, height // self.window, width // self.window
        tokens = x.permute(0, 2, 3, 1)
        if rows * columns > 1:  # rank 4 is enough: a window's row of `window` tokens moves as one
            tokens = tokens.reshape(batch * rows, window, columns, window * channels).permute(0, 2, 1, 3)
        tokens = self._cascade(tokens.reshape(batch * rows * columns, window * window, channels))
        if rows * columns > 1:
            tokens = tokens.reshape(batch * rows, columns, window, window * channels).permute(0, 2, 1, 3)
        return tokens.reshape(batch, height, width, channels).permute(0, 3, 1, 2)

    def _cascade(self, tokens: Tensor) -> Tensor:
        share = tokens.shape[2] // len(self.heads)
        outputs: list[Tensor] = []
        for index, head in enumerate(self.heads):
            own = tokens[:, :, index * share : (index + 1) * share]
            outputs.append(head(own + outputs[-1] if outputs else own, self.window))
        return torch.relu(torch.cat(outputs, dim=-1))


def _rows_as_linear(conv: nn.Conv2d, rows: slice) -> nn.Linear:
    """Some output channels of a 1x1 convolution with a bias, as a linear layer."""
    if conv.bias is None:
        raise ValueError("a folded convolution has a bias")
    weight, bias = conv.weight.detach()[rows, :, 0, 0].clone(), conv.bias.detach()[rows].clone()
    linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    linear.weight, linear.bias = nn.Parameter(weight), nn.Parameter(bias)
    return linear
