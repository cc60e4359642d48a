"""Says which calls of a graph share memory, and which memory is written in place."""

from __future__ import annotations

import operator

import torch
from torch.fx import GraphModule, Node

aten = torch.ops.aten

_HANDS_ON_UNDECLARED = {
    aten.dropout.default, aten.feature_dropout.default, aten.alpha_dropout.default, aten.type_as.default, operator.getitem,
}  # fmt: skip
"""May give their very input, although their schema does not say so."""

_WRITES_NOTHING = {aten.detach_.default, aten.dropout_.default}
"""Declared as writing in place; at inference they do not."""


def owner(node: Node) -> Node:
    """The node that made the memory which `node` gives: itself, or what it may be a view of."""
    while node.op == "call_function" and _may_hand_on(node) and isinstance(source := node.args[0], Node):
        node = source
    return node


def written_memory(graph_module: GraphModule) -> set[Node]:
    """The owners of all memory that some call writes in place."""
    return {owner(node.args[0]) for node in graph_module.graph.nodes if writes(node)}


def writes(node: Node) -> bool:
    """Whether a call changes its first argument."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable and node.target not in _WRITES_NOTHING


def _may_hand_on(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    declared = schema is not None and any(given.alias_info for given in schema.returns)
    return declared or node.target in _HANDS_ON_UNDECLARED
