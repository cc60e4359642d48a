"""Builds a latency table: measures the blocks that it does not have, a few at a time, then the intercept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

from edge.latency.bench import Bench, Progress, now, timed_by
from edge.latency.pieces import terms
from edge.latency.table import LatencyTable, Timed

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
    """Measure what `table` lacks of `blocks`, then networks for its intercept. Raises what exporters and devices raise.

    Blocks that are there are left alone, so a build that was killed goes on where it was.
    """
    missing = table.missing(blocks)
    for done, some in _portions(missing):
        progress(f"block {done + 1} to {done + len(some)} of {len(missing)}")
        _measure(bench, table, some)
    known = table.networks()
    if wanted := [spec for spec in dict.fromkeys(drawn(bench.space, INTERCEPT_NETWORKS)) if spec not in known]:
        progress(f"{len(wanted)} whole networks for the intercept")
        _measure_networks(bench, table, wanted)


def _measure(bench: Bench, table: LatencyTable, blocks: Sequence[Block]) -> None:
    weights = {block: terms(block, bench.space) for block in blocks}
    times = bench.time(piece for pieces in weights.values() for piece in pieces)
    for block in blocks:
        table.put_block(block, timed_by(weights[block], times))


def _measure_networks(bench: Bench, table: LatencyTable, specs: Sequence[ModelSpec]) -> None:
    blocks = {spec: bench.space.blocks(spec) for spec in specs}
    if absent := table.missing(block for each in blocks.values() for block in each):
        _measure(bench, table, absent)
    for spec, time in bench.time(specs).items():
        timed = Timed(time.ms, time.passes[0].source, now(), {"network": time.samples_ms})
        table.put_network(spec, blocks[spec], timed)


def _portions(blocks: Sequence[Block]) -> Iterator[tuple[int, tuple[Block, ...]]]:
    """A few at a time, each with how many came before; blocks with neighbours of one shape stand together."""
    rest = iter(sorted(blocks, key=lambda block: (len(block.input), block.input, block.output, block.key)))
    done = 0
    while some := tuple(islice(rest, BLOCKS_AT_ONCE)):
        yield done, some
        done += len(some)
