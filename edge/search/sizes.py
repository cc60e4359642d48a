"""How large a network is when it is deployed: the sum of its blocks, each of which is built and counted once."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch

from edge.errors import UsageError
from edge.report.network import multiply_adds, parameters
from edge.space import Block, SearchSpace
from edge.spec import ModelSpec


class Sizes(NamedTuple):
    """Parameters, and multiply-accumulates of convolutions and matrix products for one picture."""

    params: int
    macs: int


def sizes(space: SearchSpace, spec: ModelSpec) -> Sizes:
    """Of the deployed network, without building it. Raises `UsageError` for no point of the space."""
    counted = [_of_block(space, block) for block in space.blocks(spec)]
    return Sizes(sum(each.params for each in counted), sum(each.macs for each in counted))


def require_room(space: SearchSpace, params: int | None, macs: int | None) -> None:
    """Raise `UsageError` that says how small networks get when none has as few `params` or `macs`; None: no limit."""
    for noun, place, most in (("parameters", 0, params), ("MACs", 1, macs)):
        if most is None:
            continue
        least = _least(space, place)
        if most < least:
            raise UsageError(
                f"no network of {space.name} has {most:,} {noun} or fewer when it is deployed",
                hint=f"the smallest that changing one choice after another leads to has {least:,}",
            )


def _least(space: SearchSpace, place: int) -> int:
    """The least of `Sizes` at a place: from the fastest network, each choice in turn at the value that makes it smallest."""
    spec = space.smallest()
    for name, values in space.choices.items():
        others = (space.canonical(ModelSpec(space.name, {**spec.choices, name: value})) for value in values)
        spec = min(others, key=lambda other: sizes(space, other)[place])
    return sizes(space, spec)[place]


@cache
def _of_block(space: SearchSpace, block: Block) -> Sizes:
    module = space.module(block)
    return Sizes(parameters(module), multiply_adds(module, (torch.zeros(1, *block.input),)))
