"""EfficientViT: widths, depths and heads per stage, the kernels of the heads' queries, and the side of the windows.

The tables are ours: the family has hand-made members but no published space. The kernels are a few patterns, not one free
choice per head, so that a latency table measures a block with four heads four times and not 81 times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from edge.models.efficientvit_config import VARIANTS, EfficientViTConfig
from edge.space import Block, SearchSpace, Shape, at_share
from edge.spaces._sized import fitting
from edge.spec import Choice, ModelSpec

if TYPE_CHECKING:
    from torch import nn

WHATS = ("width", "depth", "heads")
HEADS = (2, 3, 4)
"""More heads take more time, one waiting for the other, though they have fewer weights."""
PATTERNS = ((3, 3, 3, 3), (5, 3, 3, 3), (7, 5, 3, 3), (5, 5, 5, 5))
"""The kernel of each head's query, the patterns of the hand-made members and the cheapest one."""


DEPTHS = (2, 3, 4)
"""The most blocks of each stage."""


@dataclass(frozen=True, slots=True)
class Table:
    """What is to be had for pictures whose shorter side has at least `least_side` pixels."""

    least_side: int
    stem_convolutions: int
    widths: tuple[Sequence[int], Sequence[int], Sequence[int]]


SMALL_WIDTHS = ((32, 48, 64, 96), (48, 64, 80, 96, 128), (80, 112, 144, 192))
TABLES = (
    Table(128, 4, ((64, 96, 128, 160, 192), (128, 144, 192, 240, 256, 288), (192, 224, 256, 320, 384))),
    Table(64, 3, SMALL_WIDTHS),
    Table(16, 2, SMALL_WIDTHS),
)
"""Widths are multiples of 16. The first stage's maps are 8x8 at 32 and 64 pixels, and 14x14 at 224."""


class EfficientViT(SearchSpace):
    """Its choices are `stage1.width`, `stage1.depth`, `stage1.heads`, …, `kernels` and `window`."""

    def __init__(self, image_size: tuple[int, int], num_classes: int) -> None:
        super().__init__(image_size, num_classes)
        self._table = fitting(TABLES, image_size, self.name)

    @cached_property
    def choices(self) -> Mapping[str, tuple[Choice, ...]]:
        """Windows are half of the first stage's map or all of it."""
        found: dict[str, tuple[Choice, ...]] = {}
        for number, (widths, most) in enumerate(zip(self._table.widths, DEPTHS, strict=True), start=1):
            found[f"stage{number}.width"] = tuple(widths)
            found[f"stage{number}.depth"] = tuple(range(1, most + 1))
            found[f"stage{number}.heads"] = HEADS
        side = min(self.image_size) >> self._table.stem_convolutions
        return found | {"kernels": tuple(map(_text, PATTERNS)), "window": (side - side // 2, side)}

    @cached_property
    def members(self) -> Mapping[str, ModelSpec]:
        hand_made = {name: replace(c, kernels=c.kernels[: max(c.heads)]) for name, c in VARIANTS.items()}
        points = {name: self._point(config) for name, config in hand_made.items()}
        return {
            name: point for name, point in points.items() if self.has(point) and self.config(point) == hand_made[name]
        }

    @property
    def together(self) -> tuple[tuple[str, ...], ...]:
        blocks = tuple((f"stage{n}.width", f"stage{n}.heads", "kernels", "window") for n in (1, 2, 3))
        return (*blocks, *((f"stage{n}.width", f"stage{n + 1}.width") for n in (1, 2)))

    def canonical(self, spec: ModelSpec) -> ModelSpec:
        """Each stage has as many heads as asked, or the next number below that shares its width evenly."""
        choices = dict(spec.choices)
        for number in (1, 2, 3):
            width, heads = int(choices[f"stage{number}.width"]), int(choices[f"stage{number}.heads"])
            choices[f"stage{number}.heads"] = max(h for h in HEADS if h <= heads and width % h == 0)
        most = max(int(choices[f"stage{number}.heads"]) for number in (1, 2, 3))
        used = _kernels(choices["kernels"])[:most]
        choices["kernels"] = next(_text(pattern) for pattern in PATTERNS if pattern[:most] == used)
        return ModelSpec(self.name, choices)

    def uniform(self, share: float) -> ModelSpec:
        """Heads and kernels are those of the hand-made M4 and windows half a map, as in all of the family."""
        design = VARIANTS["efficientvit_m4"]
        (window, _), stages = self.choices["window"], zip(self._table.widths, DEPTHS, design.heads, strict=True)
        choices: dict[str, Choice] = {"kernels": _text(design.kernels), "window": window}
        for number, (widths, most, heads) in enumerate(stages, start=1):
            of_stage = (at_share(widths, share), at_share(range(1, most + 1), share), heads)
            choices |= {f"stage{number}.{what}": value for what, value in zip(WHATS, of_stage, strict=True)}
        return ModelSpec(self.name, choices)

    def config(self, spec: ModelSpec) -> EfficientViTConfig:
        """The sizes of the network. Raises `UsageError` for no point of this space."""
        self.check(spec)

        def of_stages(what: str) -> tuple[int, ...]:
            return tuple(int(spec.choices[f"stage{number}.{what}"]) for number in (1, 2, 3))

        widths, depths, heads = map(of_stages, WHATS)
        return EfficientViTConfig(
            widths,
            depths,
            heads,
            _kernels(spec.choices["kernels"])[: max(heads)],
            window=int(spec.choices["window"]),
            stem_convolutions=self._table.stem_convolutions,
        )

    def build(self, spec: ModelSpec) -> nn.Module:
        from edge.models.efficientvit import EfficientViT

        return EfficientViT(self.config(spec), num_classes=self.num_classes, image_size=self.image_size)

    def covering(self) -> tuple[ModelSpec, ...]:
        """The largest network with each number of heads, and one with the largest kernel: few heads have large shares."""
        most = self.largest().choices
        found = [ModelSpec(self.name, {**most, "kernels": pattern}) for pattern in self.choices["kernels"]]
        for heads in HEADS:
            choices = dict(most)
            for number, widths in enumerate(self._table.widths, start=1):
                choices[f"stage{number}.width"] = max(width for width in widths if width % heads == 0)
                choices[f"stage{number}.heads"] = heads
            found.append(self.canonical(ModelSpec(self.name, choices)))
        return tuple(found)

    def blocks(self, spec: ModelSpec) -> tuple[Block, ...]:
        config = self.config(spec)
        height, width = (-(-side // config.patch) for side in self.image_size)
        shape: Shape = (config.widths[0], height, width)
        found = [Block("patches", (("convolutions", config.stem_convolutions),), (3, *self.image_size), shape)]
        stages = zip(config.widths, config.depths, config.heads, config.windows(self.image_size), strict=True)
        for stage, (channels, depth, heads, window) in enumerate(stages):
            if stage:
                height, width = (height + 1) // 2, (width + 1) // 2
                found.append(Block("subsample", (), shape, shape := (channels, height, width)))
            kernels = tuple((f"kernel{head + 1}", config.kernels[head]) for head in range(heads))
            found += [
                Block("sandwich", (("key", config.key_width), ("window", window), *kernels), shape, shape)
            ] * depth
        return (*found, Block("mean_head", (), shape, (self.num_classes,)))

    def parts(self, block: Block) -> tuple[nn.Module, ...]:
        from edge.models import efficientvit_layers as layers

        options = dict(block.options)
        channels, out_channels = block.input[0], block.output[0]
        match block.kind:
            case "patches":
                return (layers.PatchEmbedding(out_channels, options["convolutions"]),)
            case "sandwich":
                kernels = tuple(size for name, size in block.options if name.startswith("kernel"))
                attention = layers.LocalWindowAttention(
                    channels, options["key"], len(kernels), options["window"], kernels
                )
                return (layers.SandwichBlock(channels, attention),)
            case "subsample":
                return (layers.Subsample(channels, out_channels),)
            case "mean_head":
                return (layers.NormLinear(channels, out_channels),)
        raise self.unknown_block(block)

    def _point(self, config: EfficientViTConfig) -> ModelSpec:
        """A network of `config`, whose kernels are no more than its heads."""
        choices: dict[str, Choice] = {}
        for number, of_stage in enumerate(zip(config.widths, config.depths, config.heads, strict=True), start=1):
            choices |= {f"stage{number}.{what}": value for what, value in zip(WHATS, of_stage, strict=True)}
        kernels = next(_text(pattern) for pattern in PATTERNS if pattern[: len(config.kernels)] == config.kernels)
        return ModelSpec(self.name, choices | {"kernels": kernels, "window": config.window})


def _text(pattern: Sequence[int]) -> str:
    return ",".join(map(str, pattern))


def _kernels(text: Choice) -> tuple[int, ...]:
    return tuple(map(int, str(text).split(",")))
