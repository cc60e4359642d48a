"""A network as it is drawn: its stages, and the blocks in each, with their channels and their share of the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from edge import plugins
from edge.search.story import Story
from edge.space import Block, SearchSpace, Shape
from edge.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Layer:
    """`count` equal blocks, one after the other: what they are, the channels that leave them, and their share of the
    time 0..1 together, None where the time of a block is unknown."""

    block: Block
    count: int
    share: float | None

    @property
    def channels(self) -> int:
        """Of the output: C of maps (C, H, W) and of tokens (N, C), K of logits (K,)."""
        return _channels(self.block.output)

    @property
    def words(self) -> str:
        """The kind with its options."""
        options = ", ".join(f"{name} {value}" for name, value in self.block.options)
        return f"{self.block.kind}{f' ({options})' if options else ''}"


@dataclass(frozen=True, slots=True)
class Stage:
    """The layers that make maps of one size."""

    size: str
    layers: tuple[Layer, ...]

    @property
    def share(self) -> float | None:
        """Of the time of all blocks, 0..1; None where it is unknown."""
        known = [layer.share for layer in self.layers if layer.share is not None]
        return sum(known) if len(known) == len(self.layers) else None


@dataclass(frozen=True, slots=True)
class Drawn:
    """The network that was chosen for a budget, stage by stage; the widest of its layers has `most` channels."""

    budget: str
    spec: ModelSpec
    stages: tuple[Stage, ...]
    most: int


def drawn(story: Story) -> tuple[Drawn, ...]:
    """One for each budget that is served. Raises `UsageError` for points of another space."""
    setup = story.tag.setup
    space = plugins.space(setup.space, setup.image_size, setup.num_classes)
    found = []
    for budget in story.budgets:
        spec = story.chosen_spec(budget)
        if spec is not None:
            own = stages(space, spec, story.block_ms)
            most = max(layer.channels for stage in own for layer in stage.layers)
            found.append(Drawn(budget.name, spec, own, most))
    return tuple(found)


def stages(space: SearchSpace, spec: ModelSpec, block_ms: Mapping[str, float]) -> tuple[Stage, ...]:
    """The network in order. Raises `UsageError` for no point of the space."""
    blocks = space.blocks(spec)
    known = all(block.key in block_ms for block in blocks)
    total_ms = sum(block_ms[block.key] for block in blocks) if known else None
    layers = [_layer(block, len([*equal]), block_ms, total_ms) for block, equal in groupby(blocks)]
    return tuple(Stage(size, tuple(own)) for size, own in groupby(layers, lambda layer: _size(layer.block)))


def _layer(block: Block, count: int, block_ms: Mapping[str, float], total_ms: float | None) -> Layer:
    return Layer(block, count, count * block_ms[block.key] / total_ms if total_ms else None)


def _channels(shape: Shape) -> int:
    return shape[1] if len(shape) == 2 else shape[0]


def _size(block: Block) -> str:
    """What leaves a block: maps of height × width, tokens, or the logits."""
    match block.output:
        case (_, height, width):
            return f"{height}×{width} maps"
        case (tokens, _):
            return f"{tokens} tokens"
    return "classes"
