"""Writes the program of frames: the operations of a transformer in order, with the experts as the policy schedules them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edge.simulator.chip import Chip
from edge.simulator.chip_parts import Activations, DenseLoads, Granularity, Role
from edge.simulator.policies import Kind, Misses, Policy, check_fits, expert_bytes, in_order, lru_visits
from edge.simulator.program import Hold, Job, Program, Traffic, Transfer, Unit
from edge.simulator.workload import Experts, Network, Routing, Scope, Workload

LANES = 4
"""The attention map keeps the heads of one pair in whole groups of four values (moe_fpga sheet 3.2)."""


def program(workload: Workload, chip: Chip, policy: Policy, tasks: Sequence[str]) -> Program:
    """One frame of each of `tasks`, one after another: what is on chip at the end of a frame stays only if resident.

    Raises `UsageError` when the design does not fit on the chip or a task is unknown.
    """
    reserved = check_fits(workload.network, chip, policy)
    writer = _Writer(workload.network, chip, policy)
    before = tasks[0] if tasks else ""
    for frame, task in enumerate(tasks):
        writer.start_frame(frame)
        if policy.kind is Kind.TASK_MODEL_SWAP and task != before:
            writer.swap_model()
        writer.write_frame(workload.routing(task))
        before = task
    always = reserved.queues + reserved.lines + (reserved.experts if policy.kind is Kind.RESIDENT else 0)
    return Program(tuple(writer.jobs), tuple(writer.holds), always, reserved.total)


@dataclass(slots=True)
class _Writer:
    """Appends jobs. Every compute job waits for the one before it, so only loads run beside computation."""

    network: Network
    chip: Chip
    policy: Policy
    jobs: list[Job] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    frame: int = 0
    frame_start: tuple[int, ...] = ()
    computed: tuple[int, ...] = ()
    """The last compute job, if any."""
    users: list[int] = field(default_factory=list)
    """Of each load into a weight buffer, the job that is the last to use it."""

    def start_frame(self, frame: int) -> None:
        self.frame, self.frame_start = frame, self.computed

    def swap_model(self) -> None:
        """Copy a whole dense network over the weight port; where it is kept is not modelled."""
        network, precision = self.network, self.chip.precision
        attention = 4 * network.dim * network.dim if network.scope is Scope.FRAME else 0
        hidden = sum(self._hidden(is_moe) for is_moe in self._blocks())
        embedding = network.patch_inputs * network.dim if network.scope is Scope.FRAME else 0
        size = precision.weight_bytes(len(self._blocks()) * attention + 2 * network.dim * hidden + embedding)
        transfer = Transfer(Role.WEIGHTS, size, Traffic.MODEL_SWAP)
        self.computed = (self._load("model swap", "model swap", transfer, self.computed),)
        self.frame_start = self.computed

    def write_frame(self, routing: Routing) -> None:
        layer = 0
        whole = self.network.scope is Scope.FRAME
        if whole and self.network.patch_inputs and self.network.tokens > 1:
            self._patch_embedding()
        for is_moe in self._blocks():
            if whole:
                self._attention_half()
            before_norm = self.computed or self.frame_start
            if whole:
                self._norm()
            if is_moe and self.policy.kind is not Kind.TASK_MODEL_SWAP:
                if whole:
                    self._gate(before_norm)
                self._experts(routing.layers[layer], routing.queues(layer, self.network.experts))
                layer += 1
            else:
                self._mlp(self._hidden(is_moe))
            if whole:
                self._residual()

    def _blocks(self) -> tuple[bool, ...]:
        """Which blocks are MoE; of an expert-only workload, only those."""
        return self.network.moe if self.network.scope is Scope.FRAME else (True,) * self.network.moe_layers

    def _hidden(self, is_moe: bool) -> int:
        return self.network.top_k * self.network.expert_hidden if is_moe else self.network.hidden

    # Jobs

    def _compute(
        self,
        name: str,
        unit: Unit,
        *,
        compute: int = 0,
        latency: int = 0,
        macs: int = 0,
        transfers: tuple[Transfer, ...] = (),
        after: tuple[int, ...] = (),
        operation: str = "",
    ) -> int:
        """Append a job that waits for the compute job before it; transfers stay on chip where activations do."""
        if self.chip.memory.activations is Activations.ON_CHIP:
            transfers = tuple(
                each for each in transfers if each.role is Role.WEIGHTS or each.traffic is Traffic.PATCHES
            )
        waits = (*(self.computed or self.frame_start), *after)
        self.jobs.append(Job(name, operation or name, unit, self.frame, waits, compute, latency, macs, transfers))
        self.computed = (len(self.jobs) - 1,)
        return self.computed[0]

    def _load(self, name: str, operation: str, transfer: Transfer, after: tuple[int, ...]) -> int:
        latency = self.chip.burst_cycles
        self.jobs.append(Job(name, operation, Unit.LOADER, self.frame, after, 0, latency, 0, (transfer,)))
        return len(self.jobs) - 1

    def _load_buffer(self, name: str, operation: str, size: int, after: tuple[int, ...]) -> int:
        """Load into the weight buffer that was given out longest ago, once its last user has ended."""
        turn = len(self.users) - self.policy.buffers
        freed = (self.users[turn],) if turn >= 0 else ()
        return self._load(name, operation, self._weights(size), (*after, *freed))

    def _use_buffer(self, load: int, size: int) -> None:
        """The job just written is the only user of that load."""
        self.users.append(self.computed[0])
        self.holds.append(Hold(size, load, self.computed[0]))

    @staticmethod
    def _weights(size: int) -> Transfer:
        return Transfer(Role.WEIGHTS, size, Traffic.WEIGHTS)

    def _rows(self, role: Role, rows: int, width: int, traffic: Traffic) -> Transfer:
        return Transfer(role, self.chip.precision.act_bytes(rows * width), traffic)

    # Operations

    def _patch_embedding(self) -> None:
        """Compute, then write, as Edge-MoE does; one patch per token but the class token."""
        network, patches = self.network, self.network.tokens - 1
        weights = self.chip.precision.weight_bytes(network.patch_inputs * network.dim)
        read = (
            Transfer(Role.INPUT, patches * network.patch_inputs, Traffic.PATCHES),
            Transfer(Role.WEIGHTS, weights, Traffic.PATCHES),
        )
        cycles = self.chip.array.linear.cycles(patches, network.patch_inputs, network.dim)
        macs = patches * network.patch_inputs * network.dim
        self._compute("patch embedding", Unit.LINEAR, compute=cycles, macs=macs, transfers=read)
        write = self._rows(Role.OUTPUT, patches, network.dim, Traffic.PATCHES)
        self._compute("patch write", Unit.STREAM, transfers=(write,), operation="patch embedding")

    def _attention_half(self) -> None:
        dim = self.network.dim
        self._norm()
        for name in ("q", "k", "v"):
            self._linear(name, "linear", dim, dim, Traffic.LINEAR)
        self._scores()
        self._weighted_values()
        self._linear("projection", "linear", dim, dim, Traffic.LINEAR)
        self._residual()

    def _linear(self, name: str, operation: str, inputs: int, outputs: int, traffic: Traffic) -> None:
        """A dense matrix, cut along its outputs into pieces that a weight buffer holds."""
        array, precision = self.chip.array.linear, self.chip.precision
        most = max(1, self.chip.buffers.weight_bytes * 8 // (inputs * precision.weight_bits))
        for first in range(0, outputs, most):
            width = min(most, outputs - first)
            size = precision.weight_bytes(inputs * width)
            blocking = self.chip.control.dense_loads is DenseLoads.BLOCKING
            after = (self.computed or self.frame_start) if blocking else self.frame_start
            load = self._load_buffer(f"load {name}", f"{operation} weights", size, after)
            rows = self.network.tokens
            self._compute(
                name,
                Unit.LINEAR,
                operation=operation,
                compute=array.cycles(rows, inputs, width),
                latency=array.fill,
                macs=rows * inputs * width,
                transfers=(
                    self._rows(Role.INPUT, rows, inputs, traffic),
                    self._rows(Role.OUTPUT, rows, width, traffic),
                ),
                after=(load,),
            )
            self._use_buffer(load, size)

    def _scores(self) -> None:
        """QKᵀ: Q queries are held, each starting one position after the other, and all keys stream past them."""
        moved = (
            self._rows(Role.INPUT, self._passes * self.network.tokens, self.network.dim, Traffic.KEYS),
            self._rows(Role.SECOND_INPUT, self.network.tokens, self.network.dim, Traffic.QUERY_OUTPUT),
            self._map(),
        )
        self._attention("attention scores", moved)

    def _weighted_values(self) -> None:
        moved = (
            self._rows(Role.INPUT, self._passes * self.network.tokens, self.network.dim, Traffic.VALUES),
            self._rows(Role.OUTPUT, self.network.tokens, self.network.dim, Traffic.QUERY_OUTPUT),
            self._map(),
        )
        self._attention("attention values", moved)

    def _attention(self, name: str, moved: tuple[Transfer, ...]) -> None:
        network, array = self.network, self.chip.array.attn
        blocks = network.heads * -(-(network.dim // network.heads) // array.lanes)
        macs = network.tokens * network.tokens * network.dim
        cycles = self._passes * network.tokens * blocks
        self._compute(name, Unit.ATTENTION, compute=cycles, latency=array.fill, macs=macs, transfers=moved)

    @property
    def _passes(self) -> int:
        """How often all keys stream past: ⌈(N + Q − 1) / Q⌉ (moe_fpga sheet 3.2)."""
        queries = self.chip.array.attn.queries
        return -(-(self.network.tokens + queries - 1) // queries)

    def _map(self) -> Transfer:
        pairs = self._passes * self.chip.array.attn.queries * self.network.tokens
        return self._rows(Role.MAP, pairs, LANES * -(-self.network.heads // LANES), Traffic.ATTENTION_MAP)

    def _norm(self) -> None:
        tokens, dim = self.network.tokens, self.network.dim
        moved = tuple(self._rows(role, tokens, dim, Traffic.NORM) for role in (Role.INPUT, Role.OUTPUT))
        self._compute("layer norm", Unit.STREAM, latency=tokens * self.chip.stream.norm_token, transfers=moved)

    def _residual(self) -> None:
        roles = (Role.INPUT, Role.SECOND_INPUT, Role.OUTPUT)
        moved = tuple(self._rows(role, self.network.tokens, self.network.dim, Traffic.RESIDUAL) for role in roles)
        self._compute("residual add", Unit.STREAM, latency=self.chip.stream.fill, transfers=moved)

    def _mlp(self, hidden: int) -> None:
        self._linear("mlp 1", "mlp", self.network.dim, hidden, Traffic.MLP)
        self._linear("mlp 2", "mlp", hidden, self.network.dim, Traffic.MLP)

    def _gate(self, before_norm: tuple[int, ...]) -> None:
        """Scores, top-k, and zeros where the experts will add; its weights are fetched in every frame, during the norm."""
        network, stream = self.network, self.chip.stream
        size = self.chip.precision.weight_bytes(network.dim * network.experts)
        load = self._load("load gate", "gate", self._weights(size), before_norm)
        moved = tuple(self._rows(role, network.tokens, network.dim, Traffic.GATE) for role in (Role.INPUT, Role.OUTPUT))
        latency = network.tokens * stream.gate_token + stream.fill
        macs = network.tokens * network.dim * network.experts
        gate = self._compute("gate", Unit.STREAM, latency=latency, macs=macs, transfers=moved, after=(load,))
        self.holds.append(Hold(size, load, gate))

    def _experts(self, routes: Experts, lengths: Sequence[int]) -> None:
        if self.policy.kind is Kind.TOKEN_LRU:
            return self._experts_by_token(routes)
        wanted = in_order(
            lengths,
            self.policy.order,
            load_cycles=self.chip.load_cycles(expert_bytes(self.network, self.chip)),
            compute_cycles=[length * self._visit_cycles for length in lengths],
        )
        gated = self.computed or self.frame_start  # only now is it known who goes where
        for expert in wanted:
            if self.policy.kind is Kind.RESIDENT:
                self._visits(expert, lengths[expert], (), (1, 2), calls=2)
            else:
                self._expert_from_buffer(expert, lengths[expert], gated)
        return None

    def _expert_from_buffer(self, expert: int, tokens: int, after: tuple[int, ...]) -> None:
        matrix = self.chip.precision.weight_bytes(self.network.matrix_weights)
        by_matrix = self.policy.granularity is Granularity.MATRIX
        for matrices in ((1,), (2,)) if by_matrix else ((1, 2),):
            name = f"load expert {expert}" + (f" matrix {matrices[0]}" if by_matrix else "")
            size = matrix * len(matrices)
            load = self._load_buffer(name, "experts", size, after)
            self._visits(expert, tokens, (load,), matrices, calls=len(matrices))
            self._use_buffer(load, size)

    def _experts_by_token(self, routes: Experts) -> None:
        """Each token's experts in turn. With prefetch, a miss is fetched while the visit before it computes."""
        size = expert_bytes(self.network, self.chip)
        gated = self.computed or self.frame_start
        visited: list[tuple[int, ...]] = [gated, gated]  # what the last two visits waited to end
        last_use: dict[int, int] = {}
        filled: dict[int, int] = {}
        for visit in lru_visits(routes, self.policy.cache):
            load: tuple[int, ...] = ()
            if visit.miss:
                turn = visited[-1] if self.policy.misses is Misses.BLOCKING else visited[-2]
                evicted = (last_use[visit.slot],) if visit.slot in last_use else ()
                name = f"load expert {visit.expert}"
                load = (self._load(name, "experts", self._weights(size), (*turn, *evicted)),)
                filled.setdefault(visit.slot, load[0])
            first = visited[-1] == gated
            self._visits(visit.expert, 1, load, (1, 2), calls=2 if first else 0)
            last_use[visit.slot] = self.computed[0]
            visited.append(self.computed)
        self.holds += [Hold(size, load_job, self.computed[0]) for load_job in filled.values()]

    @property
    def _visit_cycles(self) -> int:
        network, array = self.network, self.chip.array.linear
        first = array.cycles(1, network.dim, network.expert_hidden)
        return first + array.cycles(1, network.expert_hidden, network.dim)

    def _visits(
        self, expert: int, tokens: int, after: tuple[int, ...], matrices: tuple[int, ...], *, calls: int
    ) -> None:
        """Tokens through one matrix of an expert or both; the second adds to the output, which it reads and writes."""
        network, array = self.network, self.chip.array.linear
        sides = {1: (network.dim, network.expert_hidden, 1), 2: (network.expert_hidden, network.dim, 2)}
        compute, moved = 0, []
        for inputs, outputs, passes in (sides[matrix] for matrix in matrices):
            compute += array.cycles(tokens, inputs, outputs)
            moved += [
                self._rows(Role.INPUT, tokens, inputs, Traffic.EXPERTS),
                self._rows(Role.OUTPUT, passes * tokens, outputs, Traffic.EXPERTS),
            ]
        self._compute(
            f"expert {expert}" + (f" matrix {matrices[0]}" if len(matrices) == 1 else ""),
            Unit.LINEAR,
            operation="experts",
            compute=compute,
            latency=calls * array.fill,
            macs=tokens * len(matrices) * network.matrix_weights,
            transfers=tuple(moved),
            after=after,
        )
