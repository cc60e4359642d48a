"""Writes the program of frames: the operations of a transformer in order, with the experts as the policy schedules them."""

from __future__ import annotations

from collections.abc import Sequence

from edge.simulator.chip import Chip
from edge.simulator.chip_parts import Role
from edge.simulator.experts import by_expert, by_token
from edge.simulator.operations import attention_half, gate, mlp, norm, patch_embedding, residual
from edge.simulator.policies import Kind, Policy, check_fits
from edge.simulator.program import Program, Traffic, Transfer
from edge.simulator.workload import Network, Routing, Scope, Workload
from edge.simulator.writer import Writer


def program(workload: Workload, chip: Chip, policy: Policy, tasks: Sequence[str]) -> Program:
    """One frame of each of `tasks`, one after another: what is on chip at the end of a frame stays only if resident.

    Raises `UsageError` when the design does not fit on the chip or a task is unknown.
    """
    reserved = check_fits(workload.network, chip, policy)
    writer = Writer(workload.network, chip, policy)
    before = tasks[0] if tasks else ""
    for frame, task in enumerate(tasks):
        writer.start_frame(frame)
        if policy.kind is Kind.TASK_MODEL_SWAP and task != before:
            _swap_model(writer)
        _write_frame(writer, workload.routing(task))
        before = task
    always = reserved.queues + reserved.lines + (reserved.experts if policy.kind is Kind.RESIDENT else 0)
    return Program(tuple(writer.jobs), tuple(writer.holds), always, reserved.total)


def _swap_model(writer: Writer) -> None:
    """Copy a whole dense network over the weight port; where it is kept is not modelled."""
    network, precision = writer.network, writer.chip.precision
    attention = 4 * network.dim * network.dim if network.scope is Scope.FRAME else 0
    hidden = sum(_hidden(network, is_moe) for is_moe in _blocks(network))
    embedding = network.patch_inputs * network.dim if network.scope is Scope.FRAME else 0
    size = precision.weight_bytes(len(_blocks(network)) * attention + 2 * network.dim * hidden + embedding)
    transfer = Transfer(Role.WEIGHTS, size, Traffic.MODEL_SWAP)
    writer.computed = (writer.load("model swap", "model swap", transfer, writer.computed),)
    writer.frame_start = writer.computed


def _write_frame(writer: Writer, routing: Routing) -> None:
    network, layer = writer.network, 0
    whole = network.scope is Scope.FRAME
    if whole and network.patch_inputs and network.tokens > 1:
        patch_embedding(writer)
    for is_moe in _blocks(network):
        if whole:
            attention_half(writer)
        before_norm = writer.ready
        if whole:
            norm(writer)
        if is_moe and writer.policy.kind is not Kind.TASK_MODEL_SWAP:
            if whole:
                gate(writer, before_norm)
            if writer.policy.kind is Kind.TOKEN_LRU:
                by_token(writer, routing.layers[layer])
            else:
                by_expert(writer, routing.queues(layer, network.experts))
            layer += 1
        else:
            mlp(writer, _hidden(network, is_moe))
        if whole:
            residual(writer)


def _blocks(network: Network) -> tuple[bool, ...]:
    """Which blocks are MoE; of an expert-only workload, only those."""
    return network.moe if network.scope is Scope.FRAME else (True,) * network.moe_layers


def _hidden(network: Network, is_moe: bool) -> int:
    return network.top_k * network.expert_hidden if is_moe else network.hidden
