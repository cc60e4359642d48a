"""The experts of a layer as jobs: expert by expert through weight buffers, or token by token through a cache."""

from __future__ import annotations

from collections.abc import Sequence

from edge.simulator.chip_parts import Granularity, Role
from edge.simulator.policies import Kind, Misses, expert_bytes, in_order, lru_visits
from edge.simulator.program import Hold, Traffic, Unit
from edge.simulator.workload import Experts
from edge.simulator.writer import Writer, weights


def by_expert(writer: Writer, lengths: Sequence[int]) -> None:
    """One queue after another, `lengths` tokens each; weights come through buffers unless they are resident."""
    wanted = in_order(
        lengths,
        writer.policy.order,
        load_cycles=writer.chip.load_cycles(expert_bytes(writer.network, writer.chip)),
        compute_cycles=[length * _visit_cycles(writer) for length in lengths],
    )
    gated = writer.ready  # only now is it known who goes where
    writer.queued = sum(lengths)
    live = 2 * sum(lengths) // writer.network.top_k * writer.network.dim  # what comes in and what has been added up
    for expert in wanted:
        if writer.policy.kind is Kind.RESIDENT:
            _visits(writer, expert, lengths[expert], (), (1, 2), calls=2)
        else:
            _from_buffer(writer, expert, lengths[expert], gated)
        writer.queued -= lengths[expert]
        writer.boundary(live)


def _from_buffer(writer: Writer, expert: int, tokens: int, after: tuple[int, ...]) -> None:
    matrix = writer.chip.precision.weight_bytes(writer.network.matrix_weights)
    by_matrix = writer.policy.granularity is Granularity.MATRIX
    for matrices in ((1,), (2,)) if by_matrix else ((1, 2),):
        name = f"load expert {expert}" + (f" matrix {matrices[0]}" if by_matrix else "")
        load = writer.load_buffer(name, "experts", weights(matrix * len(matrices)), after)
        _visits(writer, expert, tokens, (load,), matrices, calls=len(matrices))
        writer.use_buffer(load)


def by_token(writer: Writer, routes: Experts) -> None:
    """Each token's experts in turn. With prefetch, a miss is fetched while the visit before it computes."""
    size = expert_bytes(writer.network, writer.chip)
    gated = writer.ready
    visited: list[tuple[int, ...]] = [gated, gated]  # what the last two visits waited to end
    last_use: dict[int, int] = {}
    filled: dict[int, int] = {}
    for visit in lru_visits(routes, writer.policy.cache):
        load: tuple[int, ...] = ()
        if visit.miss:
            turn = visited[-1] if writer.policy.misses is Misses.BLOCKING else visited[-2]
            evicted = (last_use[visit.slot],) if visit.slot in last_use else ()
            name = f"load expert {visit.expert}"
            load = (writer.load(name, "experts", weights(size), (*turn, *evicted)),)
            filled.setdefault(visit.slot, load[0])
        first = visited[-1] == gated
        _visits(writer, visit.expert, 1, load, (1, 2), calls=2 if first else 0)
        last_use[visit.slot] = writer.computed[0]
        visited.append(writer.computed)
    writer.holds += [Hold(size, load_job, writer.computed[0]) for load_job in filled.values()]
    writer.queued = 0


def _visit_cycles(writer: Writer) -> int:
    network, array = writer.network, writer.chip.array.linear
    first = array.cycles(1, network.dim, network.expert_hidden)
    return first + array.cycles(1, network.expert_hidden, network.dim)


def _visits(
    writer: Writer, expert: int, tokens: int, after: tuple[int, ...], matrices: tuple[int, ...], *, calls: int
) -> None:
    """Tokens through one matrix of an expert or both; the second adds to the output, which it reads and writes."""
    network, array = writer.network, writer.chip.array.linear
    sides = {1: (network.dim, network.expert_hidden, 1), 2: (network.expert_hidden, network.dim, 2)}
    compute, moved = 0, []
    for inputs, outputs, passes in (sides[matrix] for matrix in matrices):
        compute += array.cycles(tokens, inputs, outputs)
        moved += [
            writer.rows(Role.INPUT, tokens, inputs, Traffic.EXPERTS),
            writer.rows(Role.OUTPUT, passes * tokens, outputs, Traffic.EXPERTS),
        ]
    writer.compute(
        f"expert {expert}" + (f" matrix {matrices[0]}" if len(matrices) == 1 else ""),
        Unit.LINEAR,
        operation="experts",
        compute=compute,
        latency=calls * array.fill,
        macs=tokens * len(matrices) * network.matrix_weights,
        transfers=tuple(moved),
        after=after,
    )
