"""VanillaNet: the width and depth of each stage, where the map halves therefore, and the reach of the activations.

The tables are ours: the family has hand-made members but no published space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from edge.models.vanillanet_config import STEM_KERNEL, VARIANTS, VanillaNetConfig
from edge.space import Block, SearchSpace, Shape, at_share
from edge.spaces._sized import fitting
from edge.spec import Choice, ModelSpec

if TYPE_CHECKING:
    from torch import nn

Choices = tuple[tuple[int, ...], ...]
SERIES = (1, 2, 3)
"""How far an activation reaches: 3, 5 or 7 rows and columns; the authors' n is 3."""


@dataclass(frozen=True, slots=True)
class Table:
    """What each stage may be, for pictures whose shorter side has at least `least_side` pixels."""

    least_side: int
    widths: Choices
    depths: Choices


SMALL_WIDTHS = ((32, 64, 96, 128), (64, 128, 192, 256), (128, 256, 384, 512), (256, 512, 768, 1024))
SMALL_DEPTHS = ((0, 1, 2), (1, 2, 3), (1, 2, 3), (1, 2))
TABLES = (
    Table(
        128,
        ((256, 384, 512, 768), (512, 768, 1024, 1536), (1024, 1536, 2048, 3072), (2048, 3072, 4096, 6144)),
        ((0, 1, 2), (1, 2), (1, 2, 3, 4, 5, 6, 7), (1, 2, 3)),
    ),
    Table(64, SMALL_WIDTHS, SMALL_DEPTHS),
    Table(16, SMALL_WIDTHS[:3], SMALL_DEPTHS[:3]),
)
"""The last stage has maps of 2x2 at 32 and 64 pixels, and of 7x7 at 224."""


class VanillaNet(SearchSpace):
    """Its choices are `stage1.width`, `stage1.depth`, … and `series`.

    A stage is what has maps of one size: the stem begins the first, a block that halves the map each other one, and is
    counted in its depth. So the depths of the stages say where the strides are.
    """

    def __init__(self, image_size: tuple[int, int], num_classes: int) -> None:
        super().__init__(image_size, num_classes)
        self._table = fitting(TABLES, image_size, self.name)

    @cached_property
    def choices(self) -> Mapping[str, tuple[Choice, ...]]:
        found: dict[str, tuple[Choice, ...]] = {"series": SERIES}
        for stage, of_stage in enumerate(zip(self._table.widths, self._table.depths, strict=True)):
            found |= dict(zip(_names(stage), of_stage, strict=True))
        return found

    @cached_property
    def members(self) -> Mapping[str, ModelSpec]:
        points = {name: self._point(config) for name, config in VARIANTS.items()}
        return {
            name: point for name, point in points.items() if self.has(point) and self.config(point) == VARIANTS[name]
        }

    @property
    def together(self) -> tuple[tuple[str, ...], ...]:
        widths = [_names(stage)[0] for stage in range(len(self._table.widths))]
        return (*((width, "series") for width in widths), *((*pair, "series") for pair in pairwise(widths)))

    def canonical(self, spec: ModelSpec) -> ModelSpec:
        """The same: every choice matters."""
        return spec

    def uniform(self, share: float) -> ModelSpec:
        """Activations reach as far as in every hand-made network."""
        choices: dict[str, Choice] = {"series": SERIES[-1]}
        for stage, (widths, depths) in enumerate(zip(self._table.widths, self._table.depths, strict=True)):
            choices |= dict(zip(_names(stage), (at_share(widths, share), at_share(depths, share)), strict=True))
        return ModelSpec(self.name, choices)

    def config(self, spec: ModelSpec) -> VanillaNetConfig:
        """The sizes of the network. Raises `UsageError` for no point of this space."""
        self.check(spec)
        widths: list[int] = []
        strides: list[int] = []
        for stage in range(len(self._table.widths)):
            width, depth = (int(spec.choices[name]) for name in _names(stage))
            blocks = depth if stage else depth + 1  # the stem is no block but has a width
            widths += [width] * blocks
            strides += [1] * depth if stage == 0 else [2, *[1] * (depth - 1)]
        return VanillaNetConfig(tuple(widths), tuple(strides), series=int(spec.choices["series"]))

    def build(self, spec: ModelSpec) -> nn.Module:
        from edge.models.vanillanet import VanillaNet

        return VanillaNet(self.config(spec), num_classes=self.num_classes)

    def lent_from(self, spec: ModelSpec) -> Mapping[str, str]:
        """A stage has the first blocks of the supernet's, whose blocks are counted through all stages."""
        self.check(spec)
        found: dict[str, str] = {}
        start = 0
        for stage, depths in enumerate(self._table.depths):
            for index in range(int(spec.choices[_names(stage)[1]])):
                found[f"stages.{len(found)}"] = f"stages.{start + index}"
            start += depths[-1]
        return found

    def blocks(self, spec: ModelSpec) -> tuple[Block, ...]:
        config = self.config(spec)
        series = ("series", config.series)
        height, width = ((side - STEM_KERNEL) // config.stem_stride + 1 for side in self.image_size)
        shape: Shape = (config.widths[0], height, width)
        stem = (("kernel", STEM_KERNEL), ("stride", config.stem_stride), series)
        found = [Block("vanilla_stem", stem, (3, *self.image_size), shape)]
        for channels, stride in zip(config.widths[1:], config.strides, strict=True):
            height, width = height // stride, width // stride
            found.append(Block("vanilla", (("stride", stride), series), shape, shape := (channels, height, width)))
        return (*found, Block("mean_head", (), shape, (self.num_classes,)))

    def parts(self, block: Block) -> tuple[nn.Module, ...]:
        """The merged forms: a block's training form is known only to the network, whose leak it has."""
        from torch import nn

        from edge.models import vanillanet as family
        from edge.models.layers import MeanHead

        options = dict(block.options)
        channels, out_channels = block.input[0], block.output[0]
        match block.kind:
            case "vanilla_stem":
                stem = nn.Conv2d(channels, out_channels, options["kernel"], options["stride"])
                return (stem, family.MergedActivation(out_channels, options["series"]))
            case "vanilla":
                pool = nn.MaxPool2d(options["stride"]) if options["stride"] > 1 else nn.Identity()
                return (family.MergedBlock(channels, out_channels, pool, options["series"]),)
            case "mean_head":
                return (MeanHead(nn.Linear(channels, out_channels)),)
        raise self.unknown_block(block)

    def _point(self, config: VanillaNetConfig) -> ModelSpec:
        """The stages of `config`, whose strides each begin one."""
        starts = [0, *(index + 1 for index, stride in enumerate(config.strides) if stride > 1), len(config.widths)]
        choices: dict[str, Choice] = {"series": config.series}
        for stage, (start, end) in enumerate(pairwise(starts)):
            width, depth = _names(stage)
            choices |= {width: config.widths[start], depth: end - start - (stage == 0)}
        return ModelSpec(self.name, choices)


def _names(stage: int) -> tuple[str, str]:
    """Those of a stage's choices, counted from 0: width and depth."""
    return f"stage{stage + 1}.width", f"stage{stage + 1}.depth"
