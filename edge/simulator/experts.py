"""The experts of a layer as jobs: expert by expert through weight buffers, or token by token through a cache."""

from __future__ import annotations

from edge.simulator.chip_parts import Granularity, Role
from edge.simulator.policies import Kind, Misses, Prediction, expert_bytes, in_order, longest, lru_visits
from edge.simulator.program import Hold, Traffic, Transfer, Unit
from edge.simulator.workload import Experts
from edge.simulator.writer import Writer, weights

WRONG = "wrong prefetch"
"""The row of the table of operations in which weights are that were fetched for an expert without tokens."""


def by_expert(writer: Writer, layer: int, lengths: tuple[int, ...]) -> None:
    """One queue after another, `lengths` tokens each; weights come through buffers unless they are resident."""
    wanted = in_order(
        lengths,
        writer.policy.order,
        load_cycles=writer.chip.load_cycles(expert_bytes(writer.network, writer.chip)),
        compute_cycles=[length * _visit_cycles(writer) for length in lengths],
    )
    gated = writer.ready  # only now is it known who goes where
    guess = _guess(writer, layer, lengths)
    if guess in wanted:
        wanted = (guess, *(expert for expert in wanted if expert != guess))
    elif guess is not None:
        _fetch_in_vain(writer, guess, gated)
    writer.queued = sum(lengths)
    live = 2 * sum(lengths) // writer.network.top_k * writer.network.dim  # what comes in and what has been added up
    for expert in wanted:
        if writer.policy.kind is Kind.RESIDENT:
            _visits(writer, expert, lengths[expert], (), (1, 2), calls=2)
        else:
            _from_buffer(writer, expert, lengths[expert], writer.frame_start if expert == guess else gated)
        writer.queued -= lengths[expert]
        writer.boundary(live)


def _guess(writer: Writer, layer: int, lengths: tuple[int, ...]) -> int | None:
    """The expert that the last frame's queues predict, if the policy predicts and there was a frame."""
    last = writer.histograms.get(layer)
    writer.histograms[layer] = lengths
    return None if last is None or writer.policy.prediction is Prediction.NONE else longest(last)


def _loads(writer: Writer, expert: int) -> list[tuple[str, tuple[int, ...], int]]:
    """What is loaded for an expert: a name, its matrices, and their bytes, for each buffer."""
    matrix = writer.chip.precision.weight_bytes(writer.network.matrix_weights)
    if writer.policy.granularity is Granularity.MATRIX:
        return [(f"load expert {expert} matrix {number}", (number,), matrix) for number in (1, 2)]
    return [(f"load expert {expert}", (1, 2), 2 * matrix)]


def _from_buffer(writer: Writer, expert: int, tokens: int, after: tuple[int, ...]) -> None:
    for name, matrices, size in _loads(writer, expert):
        load = writer.load_buffer(name, "experts", weights(size), after)
        _visits(writer, expert, tokens, (load,), matrices, calls=len(matrices))
        writer.use_buffer(load)


def _fetch_in_vain(writer: Writer, expert: int, gated: tuple[int, ...]) -> None:
    """As many loads of that expert as there are buffers, which are free again once the gate has spoken."""
    loads = [
        writer.load_buffer(name, WRONG, Transfer(Role.WEIGHTS, size, Traffic.WASTED), writer.frame_start)
        for name, _, size in _loads(writer, expert)[: writer.policy.buffers]
    ]
    writer.release_buffers(loads, WRONG, gated)


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
