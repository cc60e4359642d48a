"""Computes once what does not depend on the input: masks, position tables, gathered biases.

ExecuTorch would gather an attention bias by index at every inference, outside the delegate, and a mask that the
forward writes row by row becomes hundreds of scatters.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, forget_unused, value
from edge.passes._memory import owner, writes

LIMIT = 1 << 20
"""Elements; a result above it (4 MB in float32) that is also larger than its inputs is cheaper to compute than to ship."""


def fold_constants(graph_module: GraphModule) -> GraphModule:
    """Replace what the input cannot change by constants, as each reader would find them at its place in the program."""
    independent = _independent(graph_module)
    known: dict[Node, Any] = {}
    for node in list(graph_module.graph.nodes):
        if node in independent:
            known[node] = _evaluate(graph_module, node, known)
        else:
            _read_constants(graph_module, node, known)
    for node in reversed(list(graph_module.graph.nodes)):
        if node in independent and not node.users:
            graph_module.graph.erase_node(node)
    forget_unused(graph_module)
    return graph_module


def _independent(graph_module: GraphModule) -> set[Node]:
    """The nodes whose values, and all that is ever written into their memory, are the same at every inference."""
    nodes = list(graph_module.graph.nodes)
    spoiled: set[Node] = set()
    while True:
        found: set[Node] = set()
        for node in nodes:
            if owner(node) not in spoiled and found.issuperset(node.all_input_nodes) and _repeatable(node):
                found.add(node)
        outside = {owner(node.args[0]) for node in nodes if writes(node) and not _stays_inside(node, found)}
        if outside <= spoiled:
            return found
        spoiled |= outside


def _stays_inside(write: Node, found: set[Node]) -> bool:
    return write in found and owner(write).op == "call_function"  # the module's own tensors are not for writing


def _repeatable(node: Node) -> bool:
    if node.op == "get_attr":
        return isinstance(node.meta.get("val"), Tensor)
    if not isinstance(node.target, OpOverload):
        return node.target is operator.getitem
    sizes = [_elements(source) for source in node.all_input_nodes]
    random = torch.Tag.nondeterministic_seeded in node.target.tags
    return not random and _elements(node) <= max(LIMIT, *sizes, 0)


def _elements(node: Node) -> float:
    given = value(node)
    tensors = given if isinstance(given, list | tuple) else [given]
    return sum(tensor.numel() if isinstance(tensor, Tensor) else torch.inf for tensor in tensors)


def _evaluate(graph_module: GraphModule, node: Node, known: dict[Node, Any]) -> Any:
    if node.op == "get_attr":
        return operator.attrgetter(str(node.target))(graph_module).detach()
    args, kwargs = torch.fx.map_arg((node.args, node.kwargs), known.__getitem__)
    with torch.no_grad():
        return node.target(*args, **kwargs)  # type: ignore[operator]


def _read_constants(graph_module: GraphModule, node: Node, known: dict[Node, Any]) -> None:
    for source in node.all_input_nodes:
        if source.op == "call_function" and isinstance(known.get(source), Tensor):
            with graph_module.graph.inserting_before(node):
                constant = Site(graph_module, source).constant(known[source].clone())
            node.replace_input_with(source, constant)
