"""How large a network is when it is deployed: the sum of its blocks, each of which is built and counted once."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch

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


@cache
def _of_block(space: SearchSpace, block: Block) -> Sizes:
    module = space.module(block)
    return Sizes(parameters(module), multiply_adds(module, (torch.zeros(1, *block.input),)))
