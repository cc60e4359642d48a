"""The operations of a transformer block outside its experts, each as the jobs it takes."""

from __future__ import annotations

from edge.simulator.chip_parts import DenseLoads, Role
from edge.simulator.program import Hold, Traffic, Transfer, Unit
from edge.simulator.writer import Writer, weights

LANES = 4
"""The attention map keeps the heads of one pair in whole groups of four values (moe_fpga sheet 3.2)."""


def patch_embedding(writer: Writer) -> None:
    """Compute, then write, as Edge-MoE does; one patch per token but the class token."""
    network, patches = writer.network, writer.network.tokens - 1
    size = writer.chip.precision.weight_bytes(network.patch_inputs * network.dim)
    read = (
        Transfer(Role.INPUT, patches * network.patch_inputs, Traffic.PATCHES),
        Transfer(Role.WEIGHTS, size, Traffic.PATCHES),
    )
    cycles = writer.chip.array.linear.cycles(patches, network.patch_inputs, network.dim)
    macs = patches * network.patch_inputs * network.dim
    writer.compute("patch embedding", Unit.LINEAR, compute=cycles, macs=macs, transfers=read)
    write = writer.rows(Role.OUTPUT, patches, network.dim, Traffic.PATCHES)
    writer.compute("patch write", Unit.STREAM, transfers=(write,), operation="patch embedding")
    writer.boundary()


def attention_half(writer: Writer) -> None:
    """The first half of a block: norm, attention and the sum."""
    dim = writer.network.dim
    norm(writer)
    for name in ("q", "k", "v"):
        linear(writer, name, "linear", dim, dim, Traffic.LINEAR)
    _scores(writer)
    _weighted_values(writer)
    linear(writer, "projection", "linear", dim, dim, Traffic.LINEAR)
    residual(writer)


def mlp(writer: Writer, hidden: int) -> None:
    """A dense network of one hidden layer."""
    linear(writer, "mlp 1", "mlp", writer.network.dim, hidden, Traffic.MLP)
    linear(writer, "mlp 2", "mlp", hidden, writer.network.dim, Traffic.MLP)


def linear(writer: Writer, name: str, operation: str, inputs: int, outputs: int, traffic: Traffic) -> None:
    """A dense matrix, cut along its outputs into pieces that a weight buffer holds."""
    array, precision = writer.chip.array.linear, writer.chip.precision
    most = max(1, writer.chip.buffers.weight_bytes * 8 // (inputs * precision.weight_bits))
    for first in range(0, outputs, most):
        width = min(most, outputs - first)
        blocking = writer.chip.control.dense_loads is DenseLoads.BLOCKING
        after = writer.ready if blocking else writer.frame_start
        piece = weights(precision.weight_bytes(inputs * width))
        load = writer.load_buffer(f"load {name}", f"{operation} weights", piece, after)
        rows = writer.network.tokens
        writer.compute(
            name,
            Unit.LINEAR,
            operation=operation,
            compute=array.cycles(rows, inputs, width),
            latency=array.fill,
            macs=rows * inputs * width,
            transfers=(
                writer.rows(Role.INPUT, rows, inputs, traffic),
                writer.rows(Role.OUTPUT, rows, width, traffic),
            ),
            after=(load,),
        )
        writer.use_buffer(load)
        writer.boundary()


def _scores(writer: Writer) -> None:
    """QKᵀ: Q queries are held, each starting one position after the other, and all keys stream past them."""
    tokens, dim = writer.network.tokens, writer.network.dim
    moved = (
        writer.rows(Role.INPUT, _passes(writer) * tokens, dim, Traffic.KEYS),
        writer.rows(Role.SECOND_INPUT, tokens, dim, Traffic.QUERY_OUTPUT),
        _map(writer),
    )
    _attention(writer, "attention scores", moved)


def _weighted_values(writer: Writer) -> None:
    tokens, dim = writer.network.tokens, writer.network.dim
    moved = (
        writer.rows(Role.INPUT, _passes(writer) * tokens, dim, Traffic.VALUES),
        writer.rows(Role.OUTPUT, tokens, dim, Traffic.QUERY_OUTPUT),
        _map(writer),
    )
    _attention(writer, "attention values", moved)


def _attention(writer: Writer, name: str, moved: tuple[Transfer, ...]) -> None:
    network, array = writer.network, writer.chip.array.attn
    blocks = network.heads * -(-(network.dim // network.heads) // array.lanes)
    macs = network.tokens * network.tokens * network.dim
    cycles = _passes(writer) * network.tokens * blocks
    writer.compute(name, Unit.ATTENTION, compute=cycles, latency=array.fill, macs=macs, transfers=moved)
    writer.boundary()


def _passes(writer: Writer) -> int:
    """How often all keys stream past: ⌈(N + Q − 1) / Q⌉ (moe_fpga sheet 3.2)."""
    queries = writer.chip.array.attn.queries
    return -(-(writer.network.tokens + queries - 1) // queries)


def _map(writer: Writer) -> Transfer:
    pairs = _passes(writer) * writer.chip.array.attn.queries * writer.network.tokens
    return writer.rows(Role.MAP, pairs, LANES * -(-writer.network.heads // LANES), Traffic.ATTENTION_MAP)


def norm(writer: Writer) -> None:
    """Layer norm of every token."""
    tokens, dim = writer.network.tokens, writer.network.dim
    moved = tuple(writer.rows(role, tokens, dim, Traffic.NORM) for role in (Role.INPUT, Role.OUTPUT))
    writer.compute("layer norm", Unit.STREAM, latency=tokens * writer.chip.stream.norm_token, transfers=moved)
    writer.boundary()


def residual(writer: Writer) -> None:
    """The sum of a half block's input and output."""
    roles = (Role.INPUT, Role.SECOND_INPUT, Role.OUTPUT)
    tokens, dim = writer.network.tokens, writer.network.dim
    moved = tuple(writer.rows(role, tokens, dim, Traffic.RESIDUAL) for role in roles)
    writer.compute("residual add", Unit.STREAM, latency=writer.chip.stream.fill, transfers=moved)
    writer.boundary()


def gate(writer: Writer, before_norm: tuple[int, ...]) -> None:
    """Scores, top-k, and zeros where the experts will add; its weights are fetched in every frame, during the norm."""
    network, stream = writer.network, writer.chip.stream
    size = writer.chip.precision.weight_bytes(network.dim * network.experts)
    load = writer.load("load gate", "gate", weights(size), before_norm)
    moved = tuple(writer.rows(role, network.tokens, network.dim, Traffic.GATE) for role in (Role.INPUT, Role.OUTPUT))
    latency = network.tokens * stream.gate_token + stream.fill
    macs = network.tokens * network.dim * network.experts
    scored = writer.compute("gate", Unit.STREAM, latency=latency, macs=macs, transfers=moved, after=(load,))
    writer.holds.append(Hold(size, load, scored))
    writer.queued += network.visits
    writer.boundary()
