"""What EfficientFormer V1 and V2 have in common: map sizes, attention biases, layer scales and the pair of heads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from itertools import count
from typing import Self

import torch
from torch import Tensor, nn

from edge.models.fold import average
from edge.models.layers import resize_bias_table
from edge.models.stage_maps import MapSize

INDEX_BUFFER = "attention_bias_idxs"
BIAS_TABLE = "attention_biases"
"""The names that the published checkpoints give to a layer's gather index and to its table."""


def offset_index(keys: MapSize, stride: int = 1) -> Tensor:
    """int64 (queries, keys): the table column |rows apart|·width + |columns apart| of each pair of places.

    The queries are every `stride`-th place of the keys' map, so with stride 1 the index is square.
    """
    rows = torch.arange(keys[0])
    columns = torch.arange(keys[1])
    row_gap = (rows[::stride, None] - rows).abs()[:, None, :, None]
    column_gap = (columns[::stride, None] - columns).abs()[None, :, None, :]
    queries = len(rows[::stride]) * len(columns[::stride])
    return (row_gap * keys[1] + column_gap).reshape(queries, keys[0] * keys[1])


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """(B, N, heads·d) to (B·heads, N, d): rank 3 keeps attention inside the delegates of mobile runtimes."""
    batch, places, channels = tokens.shape
    by_head = tokens.reshape(batch, places, heads, channels // heads).permute(0, 2, 1, 3)
    return by_head.reshape(batch * heads, places, channels // heads)


def join_heads(tokens: Tensor, heads: int) -> Tensor:
    """(B·heads, N, d) to (B, N, heads·d)."""
    images_and_heads, places, width = tokens.shape
    by_head = tokens.reshape(images_and_heads // heads, heads, places, width).permute(0, 2, 1, 3)
    return by_head.reshape(images_and_heads // heads, places, heads * width)


def per_image(constant: Tensor, batch: int) -> Tensor:
    """A (heads, N, M) constant for B images, (B·heads, N, M); one image, as exported, costs no operator."""
    return constant if batch == 1 else constant.repeat(batch, 1, 1)


class LayerScale(nn.Module):
    """One learned gain per channel of (B, N, C) tokens, small at first so that a deep network starts as a shallow one."""

    def __init__(self, channels: int, initial: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels,), initial))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class LayerScale2d(LayerScale):
    """One learned gain per channel of (B, C, H, W) maps."""

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma.reshape(-1, 1, 1)

    def deploy(self) -> nn.Module:
        return Gain(self.gamma.detach().reshape(-1, 1, 1))


class Gain(nn.Module):
    """Multiplies by a constant."""

    gain: Tensor

    def __init__(self, gain: Tensor) -> None:
        super().__init__()
        self.register_buffer("gain", gain.clone())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain


class DropPath(nn.Module):
    """While training, leaves a branch out for a random share `rate` of the images and scales up the others."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return branch
        kept = torch.rand(branch.shape[0], *(1,) * (branch.dim() - 1), device=branch.device) >= self.rate
        return branch * kept / (1 - self.rate)


def drop_path_rates(last: float, depths: Iterable[int]) -> list[list[float]]:
    """One rate per block and stage, growing linearly over the blocks of the whole network from 0 to `last`."""
    counts = tuple(depths)
    block = count()
    step = last / max(sum(counts) - 1, 1)
    return [[step * next(block) for _ in range(depth)] for depth in counts]


class Residual(nn.Module):
    """`x + branch(x)`."""

    def __init__(self, *branch: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class Distilled(nn.Module):
    """A network with a head for the labels and one for a teacher's answers, and the other names of its tensors."""

    head: nn.Linear
    head_dist: nn.Linear | None
    """None once the two heads are averaged into `head`."""

    OFFICIAL_NAMES: tuple[tuple[str, str], ...] = ()
    """Substitutions, applied in order, that turn a key of the state dict into the authors' own."""

    def _add_heads(self, features: int, num_classes: int) -> None:
        self.head = nn.Linear(features, num_classes)
        self.head_dist = nn.Linear(features, num_classes)

    def _initialise_linears(self) -> None:
        """Normal weights of deviation 0.02 cut at two units, biases zero (models.md §1.2)."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def classify(self, features: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(B, C) to logits (B, classes), the mean of both heads; while training, the pair (labels, teacher)."""
        if self.head_dist is None:
            return self.head(features)
        labels, teacher = self.head(features), self.head_dist(features)
        return (labels, teacher) if self.training else (labels + teacher) / 2

    def averaged_head(self) -> nn.Linear:
        """Both heads as one linear layer, exact at inference."""
        return self.head if self.head_dist is None else average(self.head, self.head_dist)

    def average_heads(self) -> Self:
        """A copy with one head, which answers with logits in every mode."""
        averaged = deepcopy(self)
        averaged.head, averaged.head_dist = self.averaged_head(), None
        return averaged

    def official_names(self) -> dict[str, str]:
        """Each key of `state_dict()` and the key of the same tensor in the authors' checkpoint."""
        return {key: _substitute(key, self.OFFICIAL_NAMES) for key in self.state_dict()}

    def official_state(self) -> dict[str, Tensor]:
        """The state dict as the authors write it: their names, shapes and index buffers."""
        names = self.official_names()
        return {names[key]: tensor for key, tensor in self.state_dict().items()}

    def adapt_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`state`, in our names but saved at any square input size, for this network.

        Attention-bias tables are resized (bicubic) and gather indices are this network's own; all else is left as it is.
        Raises `WeightsError` for a table that cannot be resized.
        """
        own = self.state_dict()
        maps = {
            f"{name}.{BIAS_TABLE}": m.keys_map for name, m in self.named_modules() if isinstance(m, BiasedAttention)
        }
        adapted = dict(state)
        for key, tensor in state.items():
            if key in maps and tensor.dim() == 2:
                adapted[key] = resize_bias_table(tensor, maps[key])
            elif key.endswith(f".{INDEX_BUFFER}") and key in own:
                adapted[key] = own[key]
        return adapted


class BiasedAttention(nn.Module):
    """An attention whose logits get a learned bias by how many rows and columns query and key lie apart.

    `attention_biases` (heads, h·w of the keys' map) is gathered at every forward: a cache would go stale when weights
    are loaded.
    """

    attention_bias_idxs: Tensor

    def __init__(self, heads: int, keys_map: MapSize, *, query_stride: int, index_in_state: bool) -> None:
        super().__init__()
        self.heads = heads
        self.keys_map = keys_map
        self.attention_biases = nn.Parameter(torch.zeros(heads, keys_map[0] * keys_map[1]))
        self.register_buffer(INDEX_BUFFER, offset_index(keys_map, query_stride), persistent=index_in_state)

    def bias(self) -> Tensor:
        """(heads, queries, keys)."""
        return self.attention_biases[:, self.attention_bias_idxs]


def _substitute(key: str, substitutions: Iterable[tuple[str, str]]) -> str:
    for old, new in substitutions:
        key = key.replace(old, new)
    return key
