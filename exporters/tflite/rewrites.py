"""Edits a converted model (`ModelT`) in place: names and order from the card, one delegate, float16 weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edge.card import Card
from edge.errors import InternalError

FLOAT16_MIN_VALUES = 64
"""Smaller constants (biases, epsilons, scales) stay float32: they weigh nothing, and some decide the numerics."""


def follow_card(model: Any, card: Card) -> None:
    """Name inputs and outputs as the card does, where the converter has numbered them `args_0`, `output_0`, …

    The graph lists both in the captured program's order, which is the card's; the signature sorts them by name.
    """
    from ai_edge_litert.schema_py_generated import TensorMapT

    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    if (len(graph.inputs), len(graph.outputs)) != (len(card.inputs), len(card.outputs)):
        raise InternalError(f"the card of {card.model} does not list the inputs and outputs of its graph")
    signature.inputs = [TensorMapT(spec.name, index) for spec, index in zip(card.inputs, graph.inputs, strict=True)]
    signature.outputs = [TensorMapT(spec.name, index) for spec, index in zip(card.outputs, graph.outputs, strict=True)]
    for entry in (*signature.outputs, *signature.inputs):
        graph.tensors[entry.tensorIndex].name = entry.name


def computed_weights_to_batch_matmul(model: Any) -> None:
    """Write FULLY_CONNECTED with a computed weight as BATCH_MATMUL(adj_y): XNNPACK refuses it and the delegate breaks.

    The converter makes one from every `q @ k.T` of batch 1. Both compute x · wᵀ on the same two tensors.
    """
    from ai_edge_litert.schema_py_generated import BatchMatMulOptionsT, BuiltinOperator, BuiltinOptions

    fully_connected = _code_indices(model, BuiltinOperator.FULLY_CONNECTED)
    for graph in model.subgraphs:
        for operator in graph.operators:
            if operator.opcodeIndex in fully_connected and _is_plain_product(model, graph, operator):
                operator.opcodeIndex = _code_index(model, BuiltinOperator.BATCH_MATMUL)
                operator.inputs = operator.inputs[:2]
                operator.builtinOptionsType = BuiltinOptions.BatchMatMulOptions
                operator.builtinOptions = BatchMatMulOptionsT(adjX=False, adjY=True)


def _is_plain_product(model: Any, graph: Any, operator: Any) -> bool:
    """Two float32 matrices, the second computed, neither bias nor activation."""
    x, weight, *bias = operator.inputs
    tensors = (graph.tensors[x], graph.tensors[weight])
    matrices = all(tensor.type == _FLOAT32 and len(tensor.shape) == 2 for tensor in tensors)
    computed = _constant(model, tensors[1]) is None
    options = operator.builtinOptions
    return matrices and computed and all(index < 0 for index in bias) and options.fusedActivationFunction == 0


def weights_to_float16(model: Any) -> None:
    """Store large float32 constants as float16 behind a DEQUANTIZE; runtimes unpack them once, when they load.

    A constant that float16 cannot hold (beyond ±65504) stays float32.
    """
    from ai_edge_litert.schema_py_generated import (
        BuiltinOperator,
        BuiltinOptions,
        DequantizeOptionsT,
        OperatorT,
        TensorT,
    )

    code = _code_index(model, BuiltinOperator.DEQUANTIZE)
    halves: dict[int, int] = {}  # float32 buffer → float16 buffer: constants that share a buffer share the copy
    for graph in model.subgraphs:
        unpacking = []
        for index, tensor, values in list(_large_constants(model, graph)):
            if tensor.buffer not in halves:
                halves[tensor.buffer] = len(model.buffers)
                model.buffers.append(_buffer(values.astype("<f2").tobytes()))
            name = tensor.name + b"/float16"
            graph.tensors.append(TensorT(shape=tensor.shape, type=_FLOAT16, buffer=halves[tensor.buffer], name=name))
            tensor.buffer = 0  # buffer 0 is empty by convention: the value is computed
            ends = [np.array([end], np.int32) for end in (len(graph.tensors) - 1, index)]
            unpacking.append(OperatorT(code, *ends, BuiltinOptions.DequantizeOptions, DequantizeOptionsT()))
        graph.operators = [*unpacking, *graph.operators]
    for buffer in halves:
        model.buffers[buffer].data = None


def _large_constants(model: Any, graph: Any) -> Iterator[tuple[int, Any, Any]]:
    outputs = set(map(int, graph.outputs))
    for index, tensor in enumerate(graph.tensors):
        values = _constant(model, tensor)
        if values is None or tensor.type != _FLOAT32 or index in outputs:
            continue
        values = np.frombuffer(bytes(values), "<f4")
        if values.size >= FLOAT16_MIN_VALUES and np.abs(values).max() <= np.finfo(np.float16).max:
            yield index, tensor, values


def attach(model: Any, name: str, data: bytes) -> None:
    """Add a named blob to the model's metadata."""
    from ai_edge_litert.schema_py_generated import MetadataT

    model.buffers.append(_buffer(data))
    model.metadata = [*(model.metadata or []), MetadataT(name=name.encode(), buffer=len(model.buffers) - 1)]


def _constant(model: Any, tensor: Any) -> Any:
    data = model.buffers[tensor.buffer].data
    return data if data is not None and len(data) else None


def _buffer(data: bytes) -> Any:
    from ai_edge_litert.schema_py_generated import BufferT

    return BufferT(data=np.frombuffer(data, np.uint8))


def _code_indices(model: Any, builtin: int) -> set[int]:
    return {index for index, code in enumerate(model.operatorCodes) if code.builtinCode == builtin}


def _code_index(model: Any, builtin: int) -> int:
    """The index of an operator's code, which is added when the model has none."""
    from ai_edge_litert.schema_py_generated import OperatorCodeT

    if found := _code_indices(model, builtin):
        return min(found)
    old_field = min(builtin, 127)  # the field was a byte before there were more operators than that
    model.operatorCodes.append(OperatorCodeT(deprecatedBuiltinCode=old_field, builtinCode=builtin, version=1))
    return len(model.operatorCodes) - 1


_FLOAT32, _FLOAT16 = 0, 1  # TensorType of the public schema
