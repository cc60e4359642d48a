"""How the experts of a layer are scheduled, and how much memory on chip that takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from edge.errors import UsageError
from edge.simulator.chip import Chip
from edge.simulator.chip_parts import Granularity
from edge.simulator.tables import Count, check
from edge.simulator.workload import Experts, Network


class Kind(StrEnum):
    """The four ways.

    expert-reorder: one queue of tokens per expert, one expert after another, the next one's weights loading meanwhile
    (M3ViT and Edge-MoE). token-lru: tokens in order, experts in a cache. resident: every expert stays on chip.
    task-model-swap: each task has a dense network of its own, and a switch copies it over the weight port.
    """

    EXPERT_REORDER = "expert-reorder"
    TOKEN_LRU = "token-lru"
    RESIDENT = "resident"
    TASK_MODEL_SWAP = "task-model-swap"


class Order(StrEnum):
    """Which expert comes first; Johnson's is the shortest schedule of two machines with unlimited buffers."""

    INDEX = "index"
    LONGEST_FIRST = "longest-first"
    SHORTEST_FIRST = "shortest-first"
    JOHNSON = "johnson"


class Misses(StrEnum):
    """What a miss of the cache does: hold the token up, or fetch while the visit before it computes."""

    BLOCKING = "blocking"
    PREFETCH = "prefetch"


class Prediction(StrEnum):
    """Whether the expert that a layer begins with is guessed before its gate has scored the tokens.

    last-frame: the one that had the longest queue in this layer of the frame before, whatever its task; its weights
    are fetched during norm and gate. If it has tokens it runs first; if it has none, its weights were fetched in vain.
    """

    NONE = "none"
    LAST_FRAME = "last-frame"


@dataclass(frozen=True, slots=True)
class Policy:
    """A way and its settings: weight `buffers` and what one holds, the `order` of experts, `cache` in experts."""

    kind: Kind
    buffers: Count
    granularity: Granularity
    order: Order = Order.INDEX
    cache: Count = 1
    misses: Misses = Misses.BLOCKING
    prediction: Prediction = Prediction.NONE

    def __post_init__(self) -> None:
        """Refuse a setting that belongs to another kind. Raises `UsageError`."""
        check(self, "policy")
        if self.kind is not Kind.EXPERT_REORDER and self.prediction is not Prediction.NONE:
            raise UsageError(f"{self.kind} predicts no expert", hint=f"predictions go with {Kind.EXPERT_REORDER}")


def policy(
    chip: Chip,
    kind: Kind,
    *,
    buffers: int | None = None,
    granularity: Granularity | None = None,
    order: Order | None = None,
    cache: int | None = None,
    misses: Misses = Misses.BLOCKING,
    prediction: Prediction = Prediction.NONE,
) -> Policy:
    """A policy with the buffers of the chip where none are given. Raises `UsageError` for a setting of another kind."""
    if kind is not Kind.EXPERT_REORDER and (order or granularity):
        raise UsageError(f"{kind} has no order and no granularity", hint="they go with expert-reorder")
    if kind is not Kind.TOKEN_LRU and (cache is not None or misses is Misses.PREFETCH):
        raise UsageError(f"{kind} has no cache and no prefetch", hint="they go with token-lru")
    return Policy(
        kind=kind,
        buffers=chip.buffers.count if buffers is None else buffers,
        granularity=granularity or chip.buffers.granularity,
        order=order or Order.INDEX,
        cache=1 if cache is None else cache,
        misses=misses,
        prediction=prediction,
    )


def in_order(
    lengths: Sequence[int], order: Order, *, load_cycles: int, compute_cycles: Sequence[int]
) -> tuple[int, ...]:
    """The experts that have tokens, in the order in which they run; ties keep the lower index first.

    Johnson's rule (two machines, S. M. Johnson 1954): jobs whose load is shorter than their compute first, by rising
    load; then the others by falling compute. All loads are equal here.
    """
    active = [expert for expert, length in enumerate(lengths) if length]
    johnson = [(0, 0) if load_cycles < cycles else (1, -cycles) for cycles in compute_cycles]
    keys: dict[Order, Callable[[int], int | tuple[int, int]]] = {
        Order.INDEX: lambda expert: expert,
        Order.LONGEST_FIRST: lambda expert: -lengths[expert],
        Order.SHORTEST_FIRST: lambda expert: lengths[expert],
        Order.JOHNSON: lambda expert: johnson[expert],
    }
    return tuple(sorted(active, key=keys[order]))


def longest(lengths: Sequence[int]) -> int:
    """The expert with the longest queue, the lowest index of several."""
    return max(range(len(lengths)), key=lambda expert: (lengths[expert], -expert))


@dataclass(frozen=True, slots=True)
class Visit:
    """One (token, expert) pair in token order: the cache slot it uses, and whether its expert must be loaded first."""

    expert: int
    slot: int
    miss: bool


def lru_visits(routes: Experts, capacity: int) -> Iterator[Visit]:
    """The visits of a layer in token order through a cache of `capacity` experts, the least recently used out first."""
    slots: dict[int, int] = {}  # expert → slot, least recently used first
    for expert in (int(expert) for expert in routes.ravel()):
        if expert in slots:
            slots[expert] = slots.pop(expert)
            yield Visit(expert, slots[expert], miss=False)
        else:
            slot = len(slots) if len(slots) < capacity else slots.pop(next(iter(slots)))
            slots[expert] = slot
            yield Visit(expert, slot, miss=True)


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes on chip that a design reserves, by what they are for."""

    weight_buffers: int
    experts: int
    queues: int
    lines: int
    gate: int

    @property
    def total(self) -> int:
        return self.weight_buffers + self.experts + self.queues + self.lines + self.gate


def footprint(network: Network, chip: Chip, policy: Policy, *, frames: int = 1) -> Footprint:
    """What `policy` reserves on `chip` for `frames` at once (moe_fpga sheet 2.3).

    The lines are ours: held queries and a row in and out.
    """
    expert = expert_bytes(network, chip)
    swap = policy.kind is Kind.TASK_MODEL_SWAP
    experts = {
        Kind.EXPERT_REORDER: 0,
        Kind.TOKEN_LRU: min(policy.cache, network.experts) * expert,
        Kind.RESIDENT: network.moe_layers * network.experts * expert,
        Kind.TASK_MODEL_SWAP: 0,
    }
    tokens = frames * network.tokens
    widest = max(network.dim, network.hidden, network.expert_hidden, *(dense_hidden(network) if swap else ()))
    return Footprint(
        weight_buffers=policy.buffers * chip.buffers.weight_bytes,
        experts=experts[policy.kind],
        queues=0 if swap else chip.queue.bytes(tokens, network.experts, network.top_k),
        lines=chip.line_bytes(tokens, network.dim, widest),
        gate=0 if swap else chip.precision.weight_bytes(network.dim * network.experts),
    )


def expert_bytes(network: Network, chip: Chip) -> int:
    """Bytes of the weights of one expert, in whole bytes per matrix."""
    return 2 * chip.precision.weight_bytes(network.matrix_weights)


def dense_hidden(network: Network) -> tuple[int, ...]:
    """The widths of the dense networks that take the place of the experts: as many MACs as k experts."""
    return (network.top_k * network.expert_hidden,)


def check_fits(network: Network, chip: Chip, policy: Policy, *, frames: int = 1) -> Footprint:
    """What the design reserves for `frames` at once, if it fits.

    Raises `UsageError`: by how many bytes it does not, and what would fit.
    """
    buffer = buffer_needed(network, chip, policy)
    if buffer > chip.buffers.weight_bytes:
        over = buffer - chip.buffers.weight_bytes
        matrix = chip.precision.weight_bytes(network.matrix_weights)
        smaller = "a granularity of matrix would fit, or " if matrix <= chip.buffers.weight_bytes else ""
        raise UsageError(
            f"one {policy.granularity} of {buffer:,} bytes does not fit into a weight buffer of chip {chip.name}: "
            f"{over:,} bytes too many",
            hint=f"{smaller}set weight_bytes to at least {buffer}",
        )
    needed = footprint(network, chip, policy, frames=frames)
    if needed.total > chip.memory.usable_bytes:
        over = needed.total - chip.memory.usable_bytes
        raise UsageError(
            f"{policy.kind} does not fit on chip {chip.name}: it needs {needed.total:,} bytes, "
            f"{over:,} more than the {chip.memory.usable_bytes:,} there are",
            hint="batch fewer frames" if frames > 1 else _would_fit(needed, network, chip, policy),
        )
    return needed


def buffer_needed(network: Network, chip: Chip, policy: Policy) -> int:
    """Bytes that one weight buffer must hold for the experts; dense matrices are cut to what a buffer holds."""
    if policy.kind is not Kind.EXPERT_REORDER:
        return 0
    parts = 1 if policy.granularity is Granularity.MATRIX else 2
    return parts * chip.precision.weight_bytes(network.matrix_weights)


def _would_fit(needed: Footprint, network: Network, chip: Chip, policy: Policy) -> str:
    """The nearest settings that fit, largest first."""
    room = chip.memory.usable_bytes - (needed.total - needed.experts)
    cached = max(0, room) // expert_bytes(network, chip)
    if policy.kind in {Kind.TOKEN_LRU, Kind.RESIDENT} and cached:
        return f"token-lru with a cache of {min(cached, network.experts)} experts would fit"
    others = needed.total - needed.weight_buffers - needed.experts
    buffers = max(0, chip.memory.usable_bytes - others) // chip.buffers.weight_bytes
    if buffers:
        return f"expert-reorder with {buffers} weight buffers would fit"
    each = max(0, chip.memory.usable_bytes - others)
    return f"one weight buffer of {each:,} bytes would fit, or fewer weight_bits" if each else "choose a larger chip"
