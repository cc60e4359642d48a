"""A timeline as a drawing needs it: blocks on one lane per unit and per port, and the bytes held over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.simulator.chip import MILLI
from edge.simulator.memory import Channel
from edge.simulator.program import Job, Unit
from edge.simulator.timeline import Timeline

MOST_BLOCKS = 10_000
"""A page of so many blocks has less than a megabyte, and a browser draws it while it is dragged."""


@dataclass(frozen=True, slots=True)
class Block:
    """A job on a unit or its transfers on a port, or several neighbours as one: start ≤ t < end in cycles.

    `busy` are the cycles that its work takes at the full rate; `name` and `operation` are those of its longest job.
    """

    start: int
    end: int
    name: str
    operation: str
    frame: int
    busy: float
    macs: int
    dram_bytes: int
    jobs: int = 1
    longest: int = 0


@dataclass(frozen=True, slots=True)
class Lane:
    """Everything that one unit or port does."""

    name: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """The transfers of one job on one port, from the start of the first to the end of the last."""

    job: int
    port: int
    start: int
    end: int
    size: int


def lanes(timeline: Timeline, most: int = MOST_BLOCKS) -> tuple[Lane, ...]:
    """A lane per unit, then per port, those without work left out. Neighbours are merged when there are more blocks."""
    chip, timed = timeline.chip, list(zip(timeline.program.jobs, timeline.spans, strict=True))
    found = [
        (unit.value, [_block(job, span.start, span.end) for job, span in timed if job.unit is unit]) for unit in Unit
    ]
    moves = moved(timeline)
    for index, port in enumerate(chip.port):
        rate = chip.port_millibytes(port)
        own = [
            _block(timeline.program.jobs[each.job], each.start, each.end, each.size * MILLI / rate, each.size)
            for each in moves
            if each.port == index
        ]
        found.append((f"port {port.name}", own))
    return tuple(Lane(name, tuple(blocks)) for name, blocks in _few(found, most, timeline.cycles) if blocks)


def moved(timeline: Timeline) -> tuple[Moved, ...]:
    """When each job moved its bytes, by replaying the DDR channel as the engine ran it; in the order of starts."""
    jobs, channel = timeline.program.jobs, Channel(timeline.chip)
    begins = sorted(
        (span.start + job.latency, index)
        for index, (job, span) in enumerate(zip(jobs, timeline.spans, strict=True))
        if any(transfer.size for transfer in job.transfers)
    )
    ends: dict[tuple[int, int], int] = {}
    coming = 0
    while coming < len(begins) or channel.flows:
        times = [end for end in (channel.next_end(),) if end is not None]
        now = min([*times, begins[coming][0]] if coming < len(begins) else times)
        flowing = list(channel.flows)
        channel.advance(now)
        ends.update({(flow.job, flow.port): now for flow in flowing if flow.left <= 0})
        while coming < len(begins) and begins[coming][0] == now:
            channel.begin(begins[coming][1], jobs[begins[coming][1]].transfers)
            coming += 1
    starts = {index: start for start, index in begins}
    sizes: dict[tuple[int, int], int] = {}
    for index in starts:
        for transfer in jobs[index].transfers:
            key = index, timeline.chip.port_of(transfer.role)
            sizes[key] = sizes.get(key, 0) + transfer.size
    found = (Moved(job, port, starts[job], end, sizes[job, port]) for (job, port), end in ends.items())
    return tuple(sorted(found, key=lambda each: (each.start, each.job, each.port)))


def held(timeline: Timeline, most: int = MOST_BLOCKS) -> tuple[tuple[int, int], ...]:
    """(cycle, bytes) at every change of what is on chip, from cycle 0; the largest of neighbours if there are more."""
    fixed = timeline.program.fixed_bytes
    levels = [(0, fixed), *((cycle, fixed + level) for cycle, level in timeline.held_bytes)]
    every = -(-len(levels) // most)
    groups = [levels[first : first + every] for first in range(0, len(levels), every)]
    kept = [(group[0][0], max(level for _, level in group)) for group in groups]
    return (*kept, levels[-1]) if kept[-1] != levels[-1] else tuple(kept)


def _block(job: Job, start: int, end: int, busy: float | None = None, size: int | None = None) -> Block:
    return Block(
        start,
        end,
        job.name,
        job.operation,
        job.frame,
        busy=end - start if busy is None else busy,
        macs=job.macs,
        dram_bytes=sum(transfer.size for transfer in job.transfers) if size is None else size,
        longest=end - start,
    )


def _few(found: list[tuple[str, list[Block]]], most: int, cycles: int) -> list[tuple[str, list[Block]]]:
    """Merge neighbours of ever greater distance until at most `most` blocks are left, or one per lane."""
    distance = max(1, cycles // most)
    kept = found
    while sum(len(blocks) for _, blocks in kept) > most and distance < 2 * cycles:
        kept = [(name, _merged(blocks, distance)) for name, blocks in found]
        distance *= 2
    return kept


def _merged(blocks: Sequence[Block], longest: int) -> list[Block]:
    """Blocks in the order of their starts, neighbours joined while the whole is no longer than `longest` cycles."""
    kept: list[Block] = []
    for block in blocks:
        if kept and max(kept[-1].end, block.end) - kept[-1].start <= longest:
            kept[-1] = _joined(kept[-1], block)
        else:
            kept.append(block)
    return kept


def _joined(first: Block, second: Block) -> Block:
    leading = max(first, second, key=lambda block: block.longest)
    return Block(
        first.start,
        max(first.end, second.end),
        leading.name,
        leading.operation,
        leading.frame,
        busy=first.busy + second.busy,
        macs=first.macs + second.macs,
        dram_bytes=first.dram_bytes + second.dram_bytes,
        jobs=first.jobs + second.jobs,
        longest=leading.longest,
    )
