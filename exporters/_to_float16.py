"""Computes in float16 between float32 inputs and outputs: the form that XNNPACK's half-precision kernels take."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

aten = torch.ops.aten

_ARITHMETIC = {aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor}


def to_float16(graph_module: GraphModule) -> GraphModule:
    """Round weights and constants to float16, and cast at the borders and where the graph asks for float32 itself."""
    _round_weights(graph_module)
    graph = graph_module.graph
    for node in graph.nodes:
        if node.op == "call_function":
            node.args = torch.fx.node.map_aggregate(node.args, _half)
            node.kwargs = torch.fx.node.map_aggregate(node.kwargs, _half)
            if node.target in _ARITHMETIC and isinstance(node.args[1], float) and _is_float32(node):
                node.args = (node.args[0], _constant(graph_module, node, node.args[1]), *node.args[2:])
    for node in [node for node in graph.nodes if node.op == "placeholder" and _is_float32(node)]:
        with graph.inserting_after(node):
            cast = graph.call_function(aten.to.dtype, (node, torch.float16))
        node.replace_all_uses_with(cast, delete_user_cb=lambda user, cast=cast: user is not cast)
    output = graph.output_node()
    with graph.inserting_before(output):
        output.args = torch.fx.map_arg(output.args, _single)
    return graph_module


def _round_weights(module: nn.Module) -> None:
    for owner in module.modules():
        tensors = {name: held for name, held in vars(owner).items() if isinstance(held, Tensor)}
        for name, tensor in (tensors | owner._buffers | owner._parameters).items():
            if tensor is not None and tensor.dtype == torch.float32:
                half = tensor.detach().half()  # a copy: the program that is being rewritten keeps its own
                setattr(owner, name, nn.Parameter(half, requires_grad=False) if name in owner._parameters else half)


def _constant(graph_module: GraphModule, before: Node, value: float) -> Node:
    """A float16 tensor in place of a number, which lowering would make float32 and cast whenever the file runs."""
    name = f"float16_{before.name}"
    graph_module.register_buffer(name, torch.tensor([value], dtype=torch.float16))
    with graph_module.graph.inserting_before(before):
        return graph_module.graph.get_attr(name)


def _half(argument: Any) -> Any:
    return torch.float16 if argument is torch.float32 else argument


def _is_float32(node: Node) -> bool:
    return bool(node.meta["val"].dtype == torch.float32)


def _single(node: Node) -> Node:
    if not _is_float32(node):
        return node
    return node.graph.call_function(aten.to.dtype, (node, torch.float32))
