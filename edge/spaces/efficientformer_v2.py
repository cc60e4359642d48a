"""EfficientFormerV2: the width of each stage, the expansion of each block or its absence, and the blocks with attention.

The paper (models.md §3.2) does not say how deep and wide its supernet is; the tables below are ours. As in every network
that was released, the last blocks of the third and of the fourth stage have attention, the same number in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING

from edge.models.efficientformer_v2_config import VARIANTS, EfficientFormerV2Config, Expansions, require_even
from edge.models.stage_maps import stage_maps
from edge.space import Block, SearchSpace, Shape, at_share
from edge.spaces._stages import Four, FourChoices, blocks_of, drawn_blocks, is_small, stem_strides, width_of
from edge.spec import Choice, ModelSpec

if TYPE_CHECKING:
    from torch import nn

ABSENT = 0
EXPANSIONS = (2, 3, 4)
"""Hidden channels per channel; the released networks have 3 and 4."""


@dataclass(frozen=True, slots=True)
class Table:
    """What each stage may be: its widths, its most blocks, and the most with attention; all else is as in `like`."""

    widths: FourChoices
    depths: Four
    attention_blocks: int
    like: EfficientFormerV2Config


SMALL = Table(
    ((16, 24, 32, 48), (32, 48, 64, 96), (48, 64, 96, 128), (64, 96, 128, 192)),
    (2, 2, 6, 4),
    2,
    VARIANTS["efficientformerv2_mini"],
)
FULL = Table(
    ((32, 40, 48), (48, 64, 80, 96), (96, 120, 144, 168, 192), (176, 224, 288, 336, 384)),
    (5, 5, 15, 10),
    6,
    VARIANTS["efficientformerv2_s0"],
)
"""The paper's widths are multiples of 16 or 32, but those of its networks (40, 120) are not: so neither are ours."""


class EfficientFormerV2(SearchSpace):
    """Its choices are `stage1.width`, `stage1.block1`, …, a block's being its expansion, or 0 for none; and `attention`.

    Which of a stage's blocks are absent decides which weights a supernet lends the network.
    """

    def __init__(self, image_size: tuple[int, int], num_classes: int) -> None:
        super().__init__(image_size, num_classes)
        self._table = SMALL if is_small(image_size) else FULL
        self._stem_strides = stem_strides(image_size)
        self._maps = stage_maps(image_size, self._stem_strides)
        require_even(self._maps[2], replace(self._table.like, stem_strides=self._stem_strides), image_size)

    @cached_property
    def choices(self) -> Mapping[str, tuple[Choice, ...]]:
        """A stage always keeps its first block."""
        found: dict[str, tuple[Choice, ...]] = {}
        for stage, widths in enumerate(self._table.widths):
            first, *others = self._blocks(stage)
            found |= {width_of(stage): tuple(widths), first: EXPANSIONS}
            found |= dict.fromkeys(others, (ABSENT, *EXPANSIONS))
        return found | {"attention": tuple(range(self._table.attention_blocks + 1))}

    @cached_property
    def members(self) -> Mapping[str, ModelSpec]:
        hand_made = {name: replace(config, drop_path=0.0) for name, config in VARIANTS.items()}
        points = {name: self._spec(c.widths, c.expansions, c.attention_blocks) for name, c in hand_made.items()}
        return {
            name: point for name, point in points.items() if self.has(point) and self.config(point) == hand_made[name]
        }

    @property
    def together(self) -> tuple[tuple[str, ...], ...]:
        transitions = ((width_of(stage), width_of(stage + 1)) for stage in range(3))
        return (*transitions, *((width_of(stage), self._blocks(stage)[0], "attention") for stage in range(4)))

    def canonical(self, spec: ModelSpec) -> ModelSpec:
        """No more attention than the deeper one of the two last stages has blocks."""
        deepest = max(sum(spec.choices[name] != ABSENT for name in self._blocks(stage)) for stage in (2, 3))
        return ModelSpec(self.name, {**spec.choices, "attention": min(int(spec.choices["attention"]), deepest)})

    def uniform(self, share: float) -> ModelSpec:
        """Every expansion is 4, and half of the last stage's blocks have attention, as is about so in the released."""
        widths = [at_share(widths, share) for widths in self._table.widths]
        e1, e2, e3, e4 = ((EXPANSIONS[-1],) * at_share(range(1, most + 1), share) for most in self._table.depths)
        return self._spec(widths, (e1, e2, e3, e4), min(-(-len(e4) // 2), self._table.attention_blocks))

    def draw(self, random: Random) -> ModelSpec:
        """Widths, depths, expansions and attention are drawn evenly, and which blocks stay."""
        choices = dict(super().draw(random).choices)
        for stage, most in enumerate(self._table.depths):
            stay = drawn_blocks(random, most)
            for index, name in enumerate(self._blocks(stage)):
                choices[name] = random.choice(EXPANSIONS) if index in stay else ABSENT
        choices["attention"] = random.choice(self.choices["attention"])
        return self.canonical(ModelSpec(self.name, choices))

    def config(self, spec: ModelSpec) -> EfficientFormerV2Config:
        """The sizes of the network. Raises `UsageError` for no point of this space."""
        self.check(spec)
        w1, w2, w3, w4 = (int(spec.choices[width_of(stage)]) for stage in range(4))
        e1, e2, e3, e4 = (
            tuple(int(spec.choices[name]) for name in self._blocks(stage) if spec.choices[name] != ABSENT)
            for stage in range(4)
        )
        return replace(
            self._table.like,
            widths=(w1, w2, w3, w4),
            expansions=(e1, e2, e3, e4),
            attention_blocks=int(spec.choices["attention"]),
            stem_strides=self._stem_strides,
        )

    def build(self, spec: ModelSpec) -> nn.Module:
        from edge.models.efficientformer_v2 import EfficientFormerV2

        return EfficientFormerV2(self.config(spec), num_classes=self.num_classes, image_size=self.image_size)

    def covering(self) -> tuple[ModelSpec, ...]:
        """All that is there is at its largest, and every block of the late stages is among those with attention in one."""
        most = self.largest().choices
        shortened = range(0, max(self._table.depths[2:]), self._table.attention_blocks)
        absent = [
            {name for stage in (2, 3) for name in self._blocks(stage)[max(1, self._table.depths[stage] - fewer) :]}
            for fewer in shortened
        ]
        return tuple(self.canonical(ModelSpec(self.name, {**most, **dict.fromkeys(names, ABSENT)})) for names in absent)

    def lent_from(self, spec: ModelSpec) -> Mapping[str, str]:
        """Each block from that of its position."""
        self.check(spec)
        found: dict[str, str] = {}
        for stage in range(4):
            stays = (index for index, name in enumerate(self._blocks(stage)) if spec.choices[name] != ABSENT)
            found |= {f"stages.{stage}.blocks.{at}": f"stages.{stage}.blocks.{index}" for at, index in enumerate(stays)}
        return found

    def blocks(self, spec: ModelSpec) -> tuple[Block, ...]:
        config = self.config(spec)
        attention = (("heads", config.heads), ("key", config.key_dim), ("value", config.value_dim))
        into_last = (("heads", config.heads), ("key", config.key_dim // 2), ("value", config.value_dim // 2))
        strides = zip(("stride1", "stride2"), config.stem_strides, strict=True)
        shape: Shape = (config.widths[0], *self._maps[0])
        found = [Block("gelu_stem", tuple(strides), (3, *self.image_size), shape)]
        for stage, (width, expansions) in enumerate(zip(config.widths, config.expansions, strict=True)):
            if stage:
                kind, options = ("attention_downsample", into_last) if stage == 3 else ("downsample", ())
                found.append(Block(kind, options, shape, shape := (width, *self._maps[stage])))
            plain = len(expansions) - (config.attention_blocks if stage >= 2 else 0)
            for index, expansion in enumerate(expansions):
                mlp = ("expansion", expansion)
                if index < plain:
                    found.append(Block("unified_ffn", (mlp,), shape, shape))
                else:
                    stride = ("stride", 2 if stage == 2 else 1)
                    found.append(Block("attention_ffn", (stride, *attention, mlp), shape, shape))
        return (*found, Block("mean_head", (), shape, (self.num_classes,)))

    def parts(self, block: Block) -> tuple[nn.Module, ...]:
        from torch import nn

        from edge.models import efficientformer_v2 as family
        from edge.models import efficientformer_v2_layers as layers
        from edge.models.layers import MeanHead

        options = dict(block.options)
        channels, out_channels = block.input[0], block.output[0]
        like = self._table.like
        if "heads" in options:
            like = replace(like, heads=options["heads"], key_dim=options["key"], value_dim=options["value"])
        match block.kind:
            case "gelu_stem":
                return (layers.Stem(out_channels, (options["stride1"], options["stride2"])),)
            case "downsample":
                return (layers.Downsample(channels, out_channels),)
            case "attention_downsample":
                attention = {"heads": options["heads"], "key_dim": options["key"], "value_dim": options["value"]}
                map_size = (block.input[1], block.input[2])
                return (layers.DownsampleWithAttention(channels, out_channels, map_size, **attention),)
            case "unified_ffn":
                return (family.ConvBlock(like, channels, options["expansion"], 0.0),)
            case "attention_ffn":
                map_size = (block.input[1], block.input[2])
                return (family.AttentionBlock(like, channels, options["expansion"], 0.0, map_size, options["stride"]),)
            case "mean_head":
                return (MeanHead(nn.Linear(channels, out_channels)),)
        raise self.unknown_block(block)

    def _spec(self, widths: Sequence[int], expansions: Expansions, attention_blocks: int) -> ModelSpec:
        """The point whose stages keep their first blocks, with these expansions."""
        choices: dict[str, Choice] = {"attention": attention_blocks}
        for stage, (width, values) in enumerate(zip(widths, expansions, strict=True)):
            choices[width_of(stage)] = width
            choices |= dict.fromkeys(self._blocks(stage), ABSENT)
            choices |= dict(zip(self._blocks(stage), values, strict=False))
        return ModelSpec(self.name, choices)

    def _blocks(self, stage: int) -> tuple[str, ...]:
        return blocks_of(stage, self._table.depths[stage])
