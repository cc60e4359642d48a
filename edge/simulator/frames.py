"""Writes the program of frames: the operations of a transformer in order, with the experts as the policy schedules them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.errors import UsageError
from edge.simulator.chip import Chip
from edge.simulator.chip_parts import Role
from edge.simulator.experts import by_expert, by_token
from edge.simulator.operations import attention_half, gate, mlp, norm, patch_embedding, residual
from edge.simulator.policies import Kind, Policy, check_fits
from edge.simulator.program import Program, Traffic, Transfer
from edge.simulator.workload import Experts, Network, Routing, Scope, Workload, queue_lengths
from edge.simulator.writer import Writer


def program(workload: Workload, chip: Chip, policy: Policy, tasks: Sequence[str]) -> Program:
    """One frame of each of `tasks`, one after another: what is on chip at the end of a frame stays only if resident.

    Raises `UsageError` when the design does not fit on the chip or a task is unknown.
    """
    return batched_program(workload, chip, policy, [(task,) for task in tasks])


def batched_program(workload: Workload, chip: Chip, policy: Policy, batches: Sequence[Sequence[str]]) -> Program:
    """Batches of frames, one batch after another; the frames of a batch run layer by layer.

    In each layer the frames take their turns, but the queues of all of them are merged, so that an expert is loaded
    once for the batch. A frame of the program is a whole batch. Raises `UsageError` as `program` does, and for a batch
    under another policy than expert-reorder.
    """
    most = max((len(batch) for batch in batches), default=1)
    if most > 1 and policy.kind is not Kind.EXPERT_REORDER:
        raise UsageError(f"{policy.kind} cannot batch frames", hint=f"batches go with {Kind.EXPERT_REORDER}")
    reserved = check_fits(workload.network, chip, policy, frames=most)
    writer = Writer(workload.network, chip, policy)
    before = tuple(batches[0]) if batches else ()
    for frame, batch in enumerate(batches):
        writer.start_frame(frame)
        if policy.kind is Kind.TASK_MODEL_SWAP and tuple(batch) != before:
            _swap_model(writer)
        _write_batch(writer, [workload.routing(task) for task in batch])
        before = tuple(batch)
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


def _write_batch(writer: Writer, routings: Sequence[Routing]) -> None:
    network, layer = writer.network, 0
    whole = network.scope is Scope.FRAME
    if whole and network.patch_inputs and network.tokens > 1:
        for _ in routings:
            patch_embedding(writer)
    for is_moe in _blocks(network):
        if is_moe and writer.policy.kind is not Kind.TASK_MODEL_SWAP:
            _moe_block(writer, layer, [routing.layers[layer] for routing in routings])
            layer += 1
            continue
        for _ in routings:
            if whole:
                attention_half(writer)
                norm(writer)
            mlp(writer, _hidden(network, is_moe))
            if whole:
                residual(writer)


def _moe_block(writer: Writer, layer: int, routes: Sequence[Experts]) -> None:
    """Up to their gates the frames take turns; then all their tokens go through the experts together."""
    whole = writer.network.scope is Scope.FRAME
    for _ in routes if whole else ():
        attention_half(writer)
        before_norm = writer.ready
        norm(writer)
        gate(writer, before_norm)
    if writer.policy.kind is Kind.TOKEN_LRU:
        by_token(writer, routes[0])
    else:
        by_expert(writer, layer, queue_lengths(np.concatenate(routes), writer.network.experts))
    for _ in routes if whole else ():
        residual(writer)


def _blocks(network: Network) -> tuple[bool, ...]:
    """Which blocks are MoE; of an expert-only workload, only those."""
    return network.moe if network.scope is Scope.FRAME else (True,) * network.moe_layers


def _hidden(network: Network, is_moe: bool) -> int:
    return network.top_k * network.expert_hidden if is_moe else network.hidden
