"""Builds a latency table: measures whole networks for its intercept and scale, then the blocks that it lacks, a few at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

from edge.latency.bench import Bench, Progress
from edge.latency.pace import timed
from edge.latency.pieces import terms
from edge.latency.table import LatencyTable

if TYPE_CHECKING:
    from edge.space import Block, SearchSpace
    from edge.spec import ModelSpec

BLOCKS_AT_ONCE = 16
"""Blocks that are exported, then timed in turns, then kept: what a kill can cost."""
INTERCEPT_NETWORKS = 6
DRAW_SEED = 7_000_003
"""Of the networks that a table is built from; a check never uses those that were timed whole for its intercept."""


def drawn(space: SearchSpace, count: int) -> tuple[ModelSpec, ...]:
    """`count` points at random, always the same ones; a longer list begins like a shorter one."""
    random = Random(DRAW_SEED)
    return tuple(space.draw(random) for _ in range(count))


def build(bench: Bench, table: LatencyTable, blocks: Iterable[Block], progress: Progress) -> None:
    """Measure what `table` lacks of whole networks, and of `blocks` and theirs. Raises what exporters and devices raise.

    The networks come first and set the scale of all that follows: a device may be slower an hour later, or for a moment.
    Blocks that are there are left alone, so a build that was killed goes on where it was.
    """
    known = table.networks()
    networks = {spec: bench.space.blocks(spec) for spec in drawn(bench.space, INTERCEPT_NETWORKS)}
    if wanted := [spec for spec in networks if spec not in known]:
        progress(f"{len(wanted)} whole networks for the intercept")
        times = timed(bench, table, wanted)
        for spec in wanted:
            table.put_network(spec, networks[spec], times.network(spec))
    missing = table.missing((*blocks, *(block for each in networks.values() for block in each)))
    for done, some in _portions(missing):
        progress(f"block {done + 1} to {done + len(some)} of {len(missing)}")
        _measure(bench, table, some)


def is_built(space: SearchSpace, table: LatencyTable) -> bool:
    """Whether `table` has all that its intercept depends on; until then a prediction could still change."""
    networks = {*drawn(space, INTERCEPT_NETWORKS)}
    return networks <= {*table.networks()} and not table.missing(
        block for spec in networks for block in space.blocks(spec)
    )


def _measure(bench: Bench, table: LatencyTable, blocks: Sequence[Block]) -> None:
    weights = {block: terms(block, bench.space) for block in blocks}
    times = timed(bench, table, (piece for pieces in weights.values() for piece in pieces))
    for block in blocks:
        table.put_block(block, times.block(weights[block]))


def _portions(blocks: Sequence[Block]) -> Iterator[tuple[int, tuple[Block, ...]]]:
    """A few at a time, each with how many came before; blocks with neighbours of one shape stand together."""
    rest = iter(sorted(blocks, key=lambda block: (len(block.input), block.input, block.output, block.key)))
    done = 0
    while some := tuple(islice(rest, BLOCKS_AT_ONCE)):
        yield done, some
        done += len(some)
