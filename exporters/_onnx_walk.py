"""Walks all of an ONNX model: the graphs inside nodes and the functions too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto


def nodes(model: ModelProto) -> Iterator[NodeProto]:
    """Every node: of the graph, of the functions, and of the graphs inside nodes."""
    stack = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while stack:
        node = stack.pop()
        yield node
        stack += [inner for graph in _inner(node) for inner in graph.node]


def graphs(model: ModelProto) -> Iterator[GraphProto]:
    """The main graph, and every graph inside a node."""
    yield model.graph
    for node in nodes(model):
        yield from _inner(node)


def tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every stored tensor: weights, and the constants in attributes."""
    for graph in graphs(model):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in nodes(model):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _inner(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
