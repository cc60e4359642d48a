"""M3ViT (arXiv 2210.14793): a vision transformer with experts in its odd blocks, for several dense tasks on one picture.

A task is chosen per call: its gates route the tokens, its head draws its map; everything else is shared. Sizes and rules are
those of the moe_fpga sheet §1. A network built for one task is that task's pathway, and loads the weights of the whole.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.errors import UsageError, WeightsError
from edge.models.catalog import entry
from edge.models.fold import require_no_batchnorm
from edge.models.m3vit_config import CHANNELS, DENSE_RATIO, PATCH, VARIANTS, M3ViTConfig, RouterKind, grid_of
from edge.models.m3vit_heads import MapHead
from edge.models.m3vit_moe import DenseMoE, Fed, FeedForward, MoE, Routing, Task, TaskEmbedding
from edge.suggest import unknown


@dataclass(frozen=True, slots=True, eq=False)
class TaskPass:
    """One task's answer: its map (B, C, H, W), and where each layer of experts sent the tokens, first layer first."""

    map: Tensor
    routings: tuple[Routing, ...]


class PatchEmbedding(nn.Module):
    """Pictures (B, 3, H, W) as tokens (B, h·w, d), one per patch, row by row."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)

    def forward(self, image: Tensor) -> Tensor:
        tokens: Tensor = self.proj(image).flatten(2).transpose(1, 2)
        return tokens


class Attention(nn.Module):
    """Multi-head self-attention over tokens (B, N, d)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.qkv(tokens).chunk(3, dim=-1))
        attended = F.scaled_dot_product_attention(q, k, v)
        projected: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return projected


class Block(nn.Module):
    """Attention, then a feed-forward layer, each on normalised tokens (B, N, d) and added to them."""

    mlp: nn.Module

    def __init__(self, config: M3ViTConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=1e-6)
        self.attn = Attention(config.width, config.heads)
        self.norm2 = nn.LayerNorm(config.width, eps=1e-6)

    def forward(self, tokens: Tensor, task: Task) -> Fed:
        tokens = tokens + self.attn(self.norm1(tokens))
        fed = self.feed(self.norm2(tokens), task)
        return Fed(tokens + fed.tokens, fed.routing)

    def feed(self, tokens: Tensor, task: Task) -> Fed:
        """What the feed-forward layer makes of normalised tokens."""
        raise NotImplementedError


class DenseBlock(Block):
    """A block whose feed-forward layer is every task's."""

    def __init__(self, config: M3ViTConfig) -> None:
        super().__init__(config)
        self.mlp = FeedForward(config.width, DENSE_RATIO * config.width)

    def feed(self, tokens: Tensor, _: Task) -> Fed:
        return Fed(self.mlp(tokens), None)


class MoEBlock(Block):
    """A block whose feed-forward layer is a mixture of experts."""

    mlp: MoE | DenseMoE

    def __init__(self, config: M3ViTConfig, tasks: Sequence[str]) -> None:
        super().__init__(config)
        self.mlp = MoE(config.width, tasks, config.moe)

    def feed(self, tokens: Tensor, task: Task) -> Fed:
        return self.mlp(tokens, task)


class M3ViT(nn.Module):
    """The network: a picture (B, 3, H, W) to a map (B, C, H, W) per task. Keys outside the experts are named as in timm.

    `channels` gives each task's output channels and the order of the tasks; `image_size` is (height, width) in pixels.
    """

    def __init__(self, config: M3ViTConfig, channels: Mapping[str, int], image_size: tuple[int, int]) -> None:
        super().__init__()
        self.config, self.image_size, self.grid = config, image_size, grid_of(image_size)
        tasks = tuple(channels)
        self.patch_embed = PatchEmbedding(config.width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + math.prod(self.grid), config.width))
        conditioned = config.moe.router is RouterKind.TASK_CONDITIONED
        self.task_embedding = TaskEmbedding(tasks, config.moe.task_width) if conditioned else None
        self.blocks = nn.ModuleList(
            MoEBlock(config, tasks) if index in config.moe_blocks else DenseBlock(config)
            for index in range(config.depth)
        )
        self.heads = nn.ModuleDict(
            {task: MapHead(config.width, config.decoder_width, channels[task], self.grid) for task in tasks}
        )
        for parameter in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(parameter, std=0.02)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that this network answers, in the order of its outputs."""
        return tuple(self.heads)

    def forward(self, image: Tensor, task: str | None = None) -> Tensor | dict[str, Tensor]:
        """The map of `task`, or with None the maps of all tasks by name; the backbone runs once for each.

        Raises `UnknownNameError` for a task of another network, and `UsageError` for a picture of another size.
        """
        if task is not None:
            return self.run(image, task).map
        return {each: self.run(image, each).map for each in self.tasks}

    def run(self, image: Tensor, task: str) -> TaskPass:
        """Like `forward`, with the routing of every layer of experts."""
        tokens, routings = self.features(image, task)
        return TaskPass(self.heads[task](tokens), routings)

    def features(self, image: Tensor, task: str) -> tuple[Tensor, tuple[Routing, ...]]:
        """The tokens (B, 1 + h·w, d) that the head of `task` gets, class token first, and the routings on the way."""
        asked = self._asked(task)
        tokens = self._embedded(image)
        routings = []
        for block in self.blocks:
            tokens, routing = block(tokens, asked)
            if routing is not None:
                routings.append(routing)
        return tokens, tuple(routings)

    @torch.no_grad()
    def trace(self, image: Tensor, task: str) -> list[Tensor]:
        """The experts (N, k) of each token of one picture (1, 3, H, W), int64, best first, layer by layer."""
        return [routing.experts for routing in self.features(image, task)[1]]

    def pathway(self, task: str) -> M3ViT:
        """A copy that answers `task` alone, without the gates and heads of others. Raises `UnknownNameError`."""
        self._asked(task)
        alone = copy.deepcopy(self)
        alone.heads = nn.ModuleDict({task: alone.heads[task]})
        for layer in alone._mixtures():
            cast(MoE, layer).router.keep(task)
        return alone

    def deploy(self) -> M3ViT:
        """The form for exporters: every expert computes every token, masked by the scores; batch norms folded.

        A network that has that form already comes back as it is.
        """
        dense = any(isinstance(layer, DenseMoE) for layer in self._mixtures())
        return self if dense else self._dense(self.kept_experts)

    def deploy_with_experts_of(self, pictures: Tensor) -> M3ViT:
        """Like `deploy`, with only the experts that its tasks use on `pictures` (B, 3, H, W).

        On other pictures a token may ask for an expert that is gone; then that expert's share is missing from its sum.
        `kept_experts` of the result says which are left. Sensible for one pathway: several tasks use more experts.
        """
        with torch.no_grad():
            routings = [self.features(pictures, task)[1] for task in self.tasks]
        used = [torch.cat([routing.experts for routing in layer]) for layer in zip(*routings, strict=True)]
        return self._dense([tuple(experts.unique().tolist()) for experts in used])

    @property
    def kept_experts(self) -> tuple[tuple[int, ...], ...]:
        """The experts of each mixture that are left in this network, first layer first."""
        return tuple(
            layer.kept if isinstance(layer, DenseMoE) else tuple(range(layer.moe.experts)) for layer in self._mixtures()
        )

    def adapt_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`state` (our keys) for this network: without other tasks' gates and heads, positions resized to its patches."""
        own = {key: value for key, value in state.items() if (of := _task_of(key)) is None or of in self.heads}
        if "pos_embed" in own:
            own["pos_embed"] = resize_positions(own["pos_embed"], self.grid)
        return own

    def _mixtures(self) -> list[MoE | DenseMoE]:
        return [block.mlp for block in self.blocks if isinstance(block, MoEBlock)]

    def _asked(self, task: str) -> Task:
        if task not in self.heads:
            raise unknown("task of this network", task, self.heads)
        return Task(task, None if self.task_embedding is None else self.task_embedding(task))

    def _embedded(self, image: Tensor) -> Tensor:
        if tuple(image.shape[2:]) != self.image_size:
            raise UsageError(
                f"a picture of {image.shape[2]}x{image.shape[3]} pixels for a network of "
                f"{self.image_size[0]}x{self.image_size[1]}",
                hint="resize the picture, or build the network with that --image-size",
            )
        patches = self.patch_embed(image) + self.pos_embed[:, 1:]
        cls = (self.cls_token + self.pos_embed[:, :1]).expand(len(image), -1, -1)
        return torch.cat((cls, patches), dim=1)

    def _dense(self, kept: Sequence[Sequence[int]]) -> M3ViT:
        with torch.no_grad():
            asked = [self._asked(task) for task in self.tasks]
        dense = copy.deepcopy(self).eval()
        moe_blocks = [block for block in dense.blocks if isinstance(block, MoEBlock)]
        for block, experts in zip(moe_blocks, kept, strict=True):
            block.mlp = DenseMoE(cast(MoE, block.mlp), asked, experts)
        dense.task_embedding = None  # the gates are bound to it
        for head in dense.heads.values():
            cast(MapHead, head).fold_batchnorm()
        require_no_batchnorm(dense)
        return dense


def build(name: str, *, num_classes: int | None = None, image_size: tuple[int, int] | None = None) -> M3ViT:
    """`m3vit_SIZE` with all tasks, or `m3vit_SIZE_TASK` with one, freshly initialised; `None` takes the catalog's value.

    `num_classes` is that of the segmentation. Raises `UnknownNameError`, and `UsageError` for sizes that are no whole
    patches and for classes of a task that has none.
    """
    row = entry(name)
    variant, task = _parts(name)
    tasks = tuple(CHANNELS) if task is None else (task,)
    if num_classes not in (None, row.num_classes) and "seg" not in tasks:
        raise UsageError(
            f"{name} answers with {row.num_classes} channels, not {num_classes}",
            hint="leave --num-classes out: only segmentation has classes",
        )
    channels = {each: CHANNELS[each] or num_classes or row.num_classes for each in tasks}
    return M3ViT(VARIANTS[variant], channels, image_size or row.image_size)


def resize_positions(table: Tensor, grid: tuple[int, int]) -> Tensor:
    """A position table (1, 1 + s·s, d) of a square map, for a map of `grid` (h, w): (1, 1 + h·w, d), bicubic.

    The first row is the class token's. A table of the right length comes back as it is. Raises `WeightsError` for one that
    is not of a square map.
    """
    _, rows, width = table.shape
    if rows == 1 + math.prod(grid):
        return table
    side = math.isqrt(rows - 1)
    if side * side != rows - 1:
        raise WeightsError(
            f"a position table of {rows - 1} places cannot be resized to {grid[0]}x{grid[1]}",
            hint="only tables saved at a square input size can move to another size",
        )
    square = table[:, 1:].detach().float().reshape(1, side, side, width).permute(0, 3, 1, 2)
    resized = F.interpolate(square, size=grid, mode="bicubic", align_corners=False)
    return torch.cat((table[:, :1], resized.flatten(2).transpose(1, 2).to(table.dtype)), dim=1)


_OWNER = re.compile(r"(?:heads|blocks\.\d+\.mlp\.router\.gates)\.(\w+)\.")


def _task_of(key: str) -> str | None:
    """The task that an entry of the state dict belongs to alone."""
    found = _OWNER.match(key)
    return found[1] if found else None


def _parts(name: str) -> tuple[str, str | None]:
    """`m3vit_tiny_seg` as ("m3vit_tiny", "seg"), and `m3vit_tiny` as ("m3vit_tiny", None)."""
    stem, _, last = name.rpartition("_")
    return (stem, last) if last in CHANNELS else (name, None)
