"""What is put into files and timed to learn a block's time, and how the time follows from theirs.

T(file) = start + inside + ends: a runtime's constant, the blocks, and what the borders cost (copies, a change of layout).
A block that keeps its shape is chained: (T(4 of them) − T(1)) / 3 has neither constant nor borders in it. A block that
changes the shape stands between two neighbours, in situ. A neighbour is a probe, the plainest layer that keeps the shape;
its chain gives its own time p, and the intercept e(shape) = T(1 probe) − p, which is the constant and both borders there.

    block = T(probe, block, probe) − p₁ − p₂ − e(in)/2 − e(out)/2

Taking half an intercept at each end is exact in the sum even if the two borders of a shape differ: what one block gets too
much, the next gets too little. The first block has the picture itself before it and the last gives the logits, so each
keeps half of the constant, and a network's blocks hold it once. What remains is the table's intercept c₀ (`build.py`).
Every block's time is therefore a weighted sum of the times of a few files, and no block needs another block's.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge.space import Block, SearchSpace, Shape

CHAIN = 4
"""Blocks in the long chain: four is the least that models.md §7.1 asks for, and converting takes longer than timing."""
PROBE = "probe"

Piece = tuple[Block, ...]
"""Blocks in one file, one after another."""


def terms(block: Block, space: SearchSpace) -> Mapping[Piece, float]:
    """The files to time, each with its weight in the block's time."""
    if block.input == block.output:
        return {(block,) * CHAIN: 1 / (CHAIN - 1), (block,): -1 / (CHAIN - 1)}
    before = () if block.input == (3, *space.image_size) else (probe(block.input),)
    after = () if len(block.output) == 1 else (probe(block.output),)
    weights: dict[Piece, float] = {(*before, block, *after): 1.0}
    for neighbour in (*before, *after):
        for piece, weight in _with_half_its_ends(neighbour).items():
            weights[piece] = weights.get(piece, 0.0) - weight
    return weights


def probe(shape: Shape) -> Block:
    """The plainest layer that keeps `shape`: depthwise 3x3 on a map (C, H, W), linear on tokens (N, C)."""
    return Block(PROBE, (), shape, shape)


def _with_half_its_ends(neighbour: Block) -> Mapping[Piece, float]:
    """Its time p and half the intercept: p + (T(1) − p) / 2 = T(1) / 2 + p / 2, where p is its chain's slope."""
    slope = 1 / (CHAIN - 1)
    return {(neighbour,): (1 - slope) / 2, (neighbour,) * CHAIN: slope / 2}
