"""EfficientFormer V1: the width of each stage, and whether each block is there, pools (4-D) or attends (3-D).

The paper's space (models.md §3.1) leaves open what the supernet's depths and widths are, and it has 3-D blocks in the third
stage too. Ours are the tables below, and 3-D blocks are the end of the last stage, as in every network that was released.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING

from edge.models.efficientformer_config import VARIANTS, EfficientFormerConfig
from edge.models.stage_maps import stage_maps
from edge.space import Block, SearchSpace, Shape, at_share
from edge.spaces._stages import Four, FourChoices, blocks_of, drawn_blocks, is_small, stem_strides, width_of
from edge.spec import Choice, ModelSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

ABSENT, POOLS, ATTENDS = "identity", "4d", "3d"


@dataclass(frozen=True, slots=True)
class Table:
    """What each stage may be: its widths, and its most blocks; all else is as in the network `like`."""

    widths: FourChoices
    depths: Four
    like: EfficientFormerConfig


SMALL = Table(
    ((16, 24, 32, 48), (32, 48, 64, 96), (64, 96, 128, 160), (96, 128, 192, 256)),  # 24 is our mini's, all else 16·k
    (2, 2, 6, 4),
    VARIANTS["efficientformer_mini"],
)
FULL = Table(  # every 16 channels in the first stage only: a latency table measures each pair of neighbouring widths
    (range(32, 97, 16), range(64, 193, 32), range(128, 385, 32), range(256, 769, 64)),
    (6, 6, 18, 8),
    VARIANTS["efficientformer_l1"],
)


class EfficientFormer(SearchSpace):
    """Its choices are `stage1.width`, `stage1.block1`, `stage1.block2`, …; a stage always keeps its first block.

    Which of a stage's blocks are absent is the same to the network, but not to a supernet that lends it weights.
    """

    def __init__(self, image_size: tuple[int, int], num_classes: int) -> None:
        super().__init__(image_size, num_classes)
        self._table = SMALL if is_small(image_size) else FULL
        self._stem_strides = stem_strides(image_size)
        self._maps = stage_maps(image_size, self._stem_strides)

    @cached_property
    def choices(self) -> Mapping[str, tuple[Choice, ...]]:
        found: dict[str, tuple[Choice, ...]] = {}
        for stage, widths in enumerate(self._table.widths):
            kinds = (POOLS, ATTENDS) if stage == 3 else (POOLS,)
            found[width_of(stage)] = tuple(widths)
            found |= {name: (ABSENT, *kinds) if index else kinds for index, name in enumerate(self._blocks(stage))}
        return found

    @cached_property
    def members(self) -> Mapping[str, ModelSpec]:
        hand_made = {name: replace(config, drop_path=0.0) for name, config in VARIANTS.items()}
        points = {name: self._point(config) for name, config in hand_made.items()}
        return {
            name: point for name, point in points.items() if self.has(point) and self.config(point) == hand_made[name]
        }

    @property
    def together(self) -> tuple[tuple[str, ...], ...]:
        return (*((width_of(stage), width_of(stage + 1)) for stage in range(3)), (width_of(3), *self._blocks(3)[:1]))

    def canonical(self, spec: ModelSpec) -> ModelSpec:
        """Behind a 3-D block every block is 3-D, for tokens never become a map again."""
        choices = dict(spec.choices)
        attends = False
        for name in self._blocks(3):
            attends = attends or choices[name] == ATTENDS
            if attends and choices[name] == POOLS:
                choices[name] = ATTENDS
        return ModelSpec(self.name, choices)

    def uniform(self, share: float) -> ModelSpec:
        """Half of the last stage's blocks are 3-D, or one more: in the released networks it is a quarter to all."""
        widths = [at_share(widths, share) for widths in self._table.widths]
        depths = [at_share(range(1, most + 1), share) for most in self._table.depths]
        return self._spec(widths, [range(depth) for depth in depths], -(-depths[3] // 2))

    def draw(self, random: Random) -> ModelSpec:
        """Widths, depths and the number of 3-D blocks are drawn evenly, then which blocks stay."""
        widths = [random.choice(widths) for widths in self._table.widths]
        stays = [drawn_blocks(random, most) for most in self._table.depths]
        return self._spec(widths, stays, random.randint(0, len(stays[3])))

    def config(self, spec: ModelSpec) -> EfficientFormerConfig:
        """The sizes of the network. Raises `UsageError` for no point of this space."""
        self.check(spec)
        kinds = [[spec.choices[name] for name in self._blocks(stage)] for stage in range(4)]
        w1, w2, w3, w4 = (int(spec.choices[width_of(stage)]) for stage in range(4))
        d1, d2, d3, d4 = (len(blocks) - blocks.count(ABSENT) for blocks in kinds)
        return self._sized((w1, w2, w3, w4), (d1, d2, d3, d4), kinds[3].count(ATTENDS))

    def build(self, spec: ModelSpec) -> nn.Module:
        from edge.models.efficientformer import EfficientFormer

        return EfficientFormer(self.config(spec), num_classes=self.num_classes, image_size=self.image_size)

    def covering(self) -> tuple[ModelSpec, ...]:
        """In the last stage every block attends in one of them, and pools in the other."""
        attends = self.largest()
        return attends, ModelSpec(self.name, {**attends.choices, **dict.fromkeys(self._blocks(3), POOLS)})

    def lent_from(self, spec: ModelSpec) -> Mapping[str, str]:
        """Each block from that of its position, which has other weights to pool and to attend."""
        self.check(spec)
        found: dict[str, str] = {}
        for stage in range(4):
            kinds = {index: spec.choices[name] for index, name in enumerate(self._blocks(stage))}
            stays = [index for index, kind in kinds.items() if kind != ABSENT]
            for at, index in enumerate(stays):
                own = at + (kinds[index] == ATTENDS)  # what makes tokens of the map is counted as a block
                found[f"stages.{stage}.blocks.{own}"] = f"stages.{stage}.blocks.{index}.{kinds[index]}"
        return found

    @property
    def mixed_choices(self) -> tuple[str, ...]:
        """The paper's MetaPaths: every block but those that are always there and always pool."""
        return tuple(name for stage in range(4) for name in self._blocks(stage) if len(self.choices[name]) > 1)

    def mixture(self, lend: Callable[[ModelSpec], nn.Module], shares: Mapping[str, Tensor]) -> nn.Module:
        from edge.models.efficientformer_mixed import MixedEfficientFormer

        attends = self.largest()
        pools = ModelSpec(self.name, {**attends.choices, **dict.fromkeys(self._blocks(3), POOLS)})
        stages = [[self._shares(name, shares) for name in self._blocks(stage)] for stage in range(4)]
        return MixedEfficientFormer(lend(pools), lend(attends), stages)  # type: ignore[arg-type]  # networks of this space

    def blocks(self, spec: ModelSpec) -> tuple[Block, ...]:
        """Flattening the map is part of whatever takes tokens first: the first 3-D block, or else the head."""
        config = self.config(spec)
        mlp = (("expansion", config.mlp_ratio),)
        attention = (("heads", config.heads), ("key", config.key_dim), ("value", config.value_dim), *mlp)
        strides = zip(("stride1", "stride2"), config.stem_strides, strict=True)
        shape: Shape = (config.widths[0], *self._maps[0])
        found = [Block("relu_stem", tuple(strides), (3, *self.image_size), shape)]
        for stage, (width, depth) in enumerate(zip(config.widths, config.depths, strict=True)):
            if stage:
                found.append(Block("downsample", (), shape, shape := (width, *self._maps[stage])))
            pools = depth - (config.token_blocks if stage == 3 else 0)
            found += [Block("meta4d", mlp, shape, shape)] * pools
        for _ in range(config.token_blocks):
            found.append(Block("meta3d", attention, shape, shape := _tokens(shape)))
        return (*found, Block("layer_norm_head", (), shape, (self.num_classes,)))

    def parts(self, block: Block) -> tuple[nn.Module, ...]:
        from torch import nn

        from edge.models import efficientformer as family
        from edge.models.layers import MeanHead

        options = dict(block.options)
        like = self._table.like
        tokens = _tokens(block.input)
        to_tokens = () if block.input == tokens else (family.ToTokens(),)
        match block.kind:
            case "relu_stem":
                return (family.Stem(block.output[0], (options["stride1"], options["stride2"])),)
            case "downsample":
                return (family.Downsample(block.input[0], block.output[0]),)
            case "meta4d":
                like = replace(like, mlp_ratio=options["expansion"])
                return (family.PoolBlock(like, block.input[0], 0.0),)
            case "meta3d":
                like = replace(like, heads=options["heads"], key_dim=options["key"], value_dim=options["value"])
                like = replace(like, mlp_ratio=options["expansion"])
                return (*to_tokens, family.TokenBlock(like, tokens[1], 0.0, (1, tokens[0])))
            case "layer_norm_head":
                norm = nn.LayerNorm(tokens[1], elementwise_affine=False)
                return (*to_tokens, norm, family.ToMap(), MeanHead(nn.Linear(tokens[1], block.output[0])))
        raise self.unknown_block(block)

    def _point(self, config: EfficientFormerConfig) -> ModelSpec:
        """A network of `config`, in which a stage's first blocks stay."""
        return self._spec(config.widths, [range(depth) for depth in config.depths], config.token_blocks)

    def _spec(self, widths: Sequence[int], stays: Sequence[Sequence[int]], attends: int) -> ModelSpec:
        """The point with these blocks (from 0) of each stage, the last `attends` of the last stage 3-D."""
        choices: dict[str, Choice] = {}
        for stage, (width, staying) in enumerate(zip(widths, stays, strict=True)):
            pools = len(staying) - (attends if stage == 3 else 0)
            kinds = dict.fromkeys(staying[:pools], POOLS) | dict.fromkeys(staying[pools:], ATTENDS)
            choices[width_of(stage)] = width
            choices |= {name: kinds.get(index, ABSENT) for index, name in enumerate(self._blocks(stage))}
        return ModelSpec(self.name, choices)

    def _sized(self, widths: Four, depths: Four, token_blocks: int) -> EfficientFormerConfig:
        return replace(
            self._table.like, widths=widths, depths=depths, token_blocks=token_blocks, stem_strides=self._stem_strides
        )

    def _shares(self, name: str, shares: Mapping[str, Tensor]) -> Tensor:
        """Those of identity, 4-D and perhaps 3-D: what the block can never be has none."""
        import torch

        found = shares.get(name, torch.ones(len(self.choices[name])))
        return found if ABSENT in self.choices[name] else torch.cat((found.new_zeros(1), found))

    def _blocks(self, stage: int) -> tuple[str, ...]:
        return blocks_of(stage, self._table.depths[stage])


def _tokens(shape: Shape) -> tuple[int, int]:
    """(C, H, W) or (N, C) as (N, C)."""
    return (math.prod(shape[1:]), shape[0]) if len(shape) == 3 else (shape[0], shape[1])
