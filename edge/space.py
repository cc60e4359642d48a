"""The promise of a search space: networks as points of named choices, and the fused blocks that each is made of."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import TYPE_CHECKING

from edge.errors import UsageError
from edge.spec import Choice, ModelSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

Shape = tuple[int, ...]
"""Of a tensor without its batch: (C, H, W) of maps, (N, C) of tokens, or (K,) of logits."""


@dataclass(frozen=True, slots=True)
class Block:
    """One piece of a network that a runtime executes as a whole: what it is, its options, and the shapes around it.

    Two blocks that are equal take the same time, wherever they stand and whichever space has them; `key` is how a latency
    table names them.
    """

    kind: str
    options: tuple[tuple[str, int], ...]
    input: Shape
    output: Shape

    @property
    def key(self) -> str:
        """For example `meta4d expansion=4 48x56x56>48x56x56`."""
        options = "".join(f" {name}={value}" for name, value in self.options)
        return f"{self.kind}{options} {'x'.join(map(str, self.input))}>{'x'.join(map(str, self.output))}"


def at_share(values: Sequence[int], share: float) -> int:
    """The value nearest to `share` (0 to 1) of the way along `values`. Raises `UsageError` for another share."""
    if not 0 <= share <= 1:
        raise UsageError(f"{share} is no share of the way to the largest network", hint="it lies between 0 and 1")
    return values[math.floor(share * (len(values) - 1) + 0.5)]


class SearchSpace(ABC):
    """One family of networks. A file of `edge/spaces` defines exactly one subclass; its name is the file's name.

    Importing the file must not import torch. Pictures are `image_size` (height, width) pixels.
    """

    def __init__(self, image_size: tuple[int, int], num_classes: int) -> None:
        self.image_size, self.num_classes = image_size, num_classes

    @property
    def name(self) -> str:
        """The file's name: what the user types after `edge search`."""
        return type(self).__module__.rpartition(".")[2]

    @property
    @abstractmethod
    def choices(self) -> Mapping[str, tuple[Choice, ...]]:
        """Every choice by name with what it may be, first what takes the least time."""

    @property
    @abstractmethod
    def members(self) -> Mapping[str, ModelSpec]:
        """The hand-made networks of the family that are points of this space, by their names in the catalog."""

    @property
    @abstractmethod
    def together(self) -> tuple[tuple[str, ...], ...]:
        """The groups of choices that decide one block between them; every block depends on one group, or on less."""

    @abstractmethod
    def canonical(self, spec: ModelSpec) -> ModelSpec:
        """The same network with every choice that does not matter (of blocks that are not there, …) at its cheapest."""

    def check(self, spec: ModelSpec) -> None:
        """Refuse a point that is not of this space, or that has another name there. Raises `UsageError`."""
        if spec.space != self.name or {*spec.choices} != {*self.choices}:
            raise UsageError(f"{spec.space} {dict(spec.choices)} is no point of {self.name}", hint="draw one from it")
        for name, value in spec.choices.items():
            if value not in self.choices[name]:
                raise UsageError(f"{name} is {value!r}", hint=f"it may be {', '.join(map(str, self.choices[name]))}")
        changed = {name: value for name, value in self.canonical(spec).choices.items() if value != spec.choices[name]}
        if changed:
            raise UsageError(
                f"{', '.join(f'{name}={spec.choices[name]}' for name in changed)} says nothing beside the other choices",
                hint=f"the same network has {', '.join(f'{name}={value}' for name, value in changed.items())}",
            )

    def has(self, spec: ModelSpec) -> bool:
        """Whether `check` lets it pass."""
        try:
            self.check(spec)
        except UsageError:
            return False
        return True

    def smallest(self) -> ModelSpec:
        """Every choice at what takes the least time."""
        return self.canonical(ModelSpec(self.name, {name: values[0] for name, values in self.choices.items()}))

    def largest(self) -> ModelSpec:
        """Every choice at what takes the most time."""
        return self.canonical(ModelSpec(self.name, {name: values[-1] for name, values in self.choices.items()}))

    @abstractmethod
    def uniform(self, share: float) -> ModelSpec:
        """Widths and depths all `share` (0 to 1) of the way from their smallest to their largest, the design unchanged.

        The way to scale a family by hand, which a search must beat. Raises `UsageError` for another share.
        """

    def draw(self, random: Random) -> ModelSpec:
        """A point at random: each choice on its own, evenly."""
        return self.canonical(
            ModelSpec(self.name, {name: random.choice(values) for name, values in self.choices.items()})
        )

    def mutate(self, spec: ModelSpec, random: Random) -> ModelSpec:
        """Another network, one choice away."""
        while True:
            name = random.choice(sorted(name for name, values in self.choices.items() if len(values) > 1))
            value = random.choice([value for value in self.choices[name] if value != spec.choices[name]])
            other = self.canonical(ModelSpec(self.name, {**spec.choices, name: value}))
            if other != spec:
                return other

    @abstractmethod
    def build(self, spec: ModelSpec) -> nn.Module:
        """The network in its training form, (B, 3, H, W) to logits (B, K). Raises `UsageError` for no point of this space."""

    @property
    def mixed_choices(self) -> tuple[str, ...]:
        """The choices that a supernet learns by mixing everything that they may be; usually none."""
        return ()

    def mixture(self, lend: Callable[[ModelSpec], nn.Module], shares: Mapping[str, Tensor]) -> nn.Module:  # noqa: ARG002
        """The largest network, in which each mixed choice is the sum of all that it may be, in its `shares`: one per value.

        `lend` gives the network of a point, with weights that it has in common with those of all others.
        """
        return lend(self.largest())

    def covering(self) -> tuple[ModelSpec, ...]:
        """Points that have every weight of the space between them, each somewhere at its largest: what a supernet holds."""
        return (self.largest(),)

    def lent_from(self, spec: ModelSpec) -> Mapping[str, str]:  # noqa: ARG002
        """From which module of the supernet a network borrows the weights of each of its modules, both as paths of names.

        What is not below one of these paths has the same name in both. Raises `UsageError` for no point of this space.
        """
        return {}

    @abstractmethod
    def blocks(self, spec: ModelSpec) -> tuple[Block, ...]:
        """What the network's deploy form executes, in order; all its time is in them. Raises `UsageError`."""

    @abstractmethod
    def parts(self, block: Block) -> tuple[nn.Module, ...]:
        """The layers of a block in order, freshly initialised. Raises `UsageError` for a kind that this space has not."""

    def module(self, block: Block) -> nn.Module:
        """A block of its own, in the form in which it is deployed, (B, *input) to (B, *output).

        Its weights are random, the same every time, and each of its branches matters. Raises `UsageError`.
        """
        from torch import nn

        from edge.models.layers import deployed
        from edge.models.network import seeded
        from edge.models.randomise import randomise_statistics

        with seeded(0):
            block_parts = nn.Sequential(*self.parts(block)).eval()
        randomise_statistics(block_parts, 0)
        return nn.Sequential(*map(deployed, block_parts)).eval()

    def every_block(self) -> tuple[Block, ...]:
        """Each block that any point of this space executes, once: what a latency table needs to know."""
        points = {
            self.canonical(ModelSpec(self.name, {**base.choices, **dict(zip(group, values, strict=True))}))
            for base in (self.smallest(), self.largest())
            for group in self.together
            for values in product(*(self.choices[name] for name in group))
        }
        return tuple(sorted({block for point in points for block in self.blocks(point)}, key=lambda block: block.key))

    def unknown_block(self, block: Block) -> UsageError:
        """The error for a block of another space."""
        return UsageError(f"{self.name} has no block {block.key}", hint="take a block of `blocks(spec)`")
