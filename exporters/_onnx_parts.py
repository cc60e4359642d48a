"""An ONNX model taken apart: every node as a model of its own, which onnxruntime executes on values given to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.parts import Operator, Values

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto
    from onnxruntime import InferenceSession

Open = Callable[["ModelProto"], "InferenceSession"]
"""Loads a model. Raises `BadArtifactError`."""


def operators(model: ModelProto, computed: ModelProto, open_session: Open) -> Iterator[Operator]:
    """The nodes of `model` that depend on its inputs, executed as `computed` has them (see `_onnx_half.rounding`)."""
    stored = {tensor.name for tensor in computed.graph.initializer}
    sparse = {tensor.values.name for tensor in computed.graph.sparse_initializer}
    constant: dict[str, list[NodeProto]] = {name: [] for name in stored | sparse}
    for node, nodes in _as_computed(model.graph.node, computed.graph.node):
        made = tuple(name for name in node.output if name)
        taken = tuple(dict.fromkeys(name for each in nodes for name in _taken(each)))
        own = {name for each in nodes for name in each.output}
        needed = tuple(name for name in taken if name not in constant and name not in own)
        before = {id(each): each for name in taken for each in constant.get(name, ())}.values()
        chain = [*before, *nodes]
        if not needed:
            constant |= dict.fromkeys(made, chain)
            continue
        kind = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        yield Operator(made[0], kind, needed, made, _runner(computed, chain, needed, made, open_session))


def _as_computed(
    nodes: Iterable[NodeProto], computed: Iterable[NodeProto]
) -> Iterator[tuple[NodeProto, list[NodeProto]]]:
    """Each node with those that make its outputs in the model that is executed: itself, and what rounds its results."""
    stream = iter(computed)
    for node in nodes:
        wanted, found = {name for name in node.output if name}, [next(stream)]
        while not wanted <= {name for each in found for name in each.output}:
            found.append(next(stream))
        yield node, found


def _taken(node: NodeProto) -> Iterator[str]:
    """The values that a node reads; those that the graphs inside it take from around them too."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            yield from _captured(graph)


def _captured(graph: GraphProto) -> Iterator[str]:
    own = {value.name for value in (*graph.input, *graph.initializer)}
    for node in graph.node:
        yield from (name for name in _taken(node) if name not in own)
        own.update(node.output)
    yield from (value.name for value in graph.output if value.name not in own)


def _runner(
    model: ModelProto, nodes: Sequence[NodeProto], inputs: Sequence[str], outputs: Sequence[str], open_session: Open
) -> Callable[[Sequence[Values]], list[Values]]:
    def run(rows: Sequence[Values]) -> list[Values]:
        session = open_session(_part(model, nodes, dict(zip(inputs, rows[0], strict=True)), outputs))
        return [tuple(session.run(outputs, dict(zip(inputs, row, strict=True)))) for row in rows]

    return run


def _part(
    model: ModelProto, nodes: Sequence[NodeProto], inputs: Mapping[str, Any], outputs: Iterable[str]
) -> ModelProto:
    """A model of some nodes of `model`, and of its weights those that they use; onnxruntime infers the outputs' types."""
    import onnx

    names = {name for each in nodes for name in _taken(each)}
    graph = onnx.GraphProto(
        name="part",
        node=nodes,
        input=[_declared(name, value) for name, value in inputs.items()],
        output=[onnx.ValueInfoProto(name=name) for name in outputs],
        initializer=[tensor for tensor in model.graph.initializer if tensor.name in names],
        sparse_initializer=[tensor for tensor in model.graph.sparse_initializer if tensor.values.name in names],
    )
    return onnx.ModelProto(
        ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions, graph=graph
    )


def _declared(name: str, value: Any) -> Any:
    import onnx

    kind = onnx.helper.np_dtype_to_tensor_dtype(np.asarray(value).dtype)
    return onnx.helper.make_tensor_value_info(name, kind, None)
