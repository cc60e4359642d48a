"""Half precision in ONNX: how a file is brought to it, and how onnxruntime is made to compute what the file says.

onnxruntime has few float16 kernels for a CPU. It wraps the other operators in casts and then drops the pairs of casts
between them, so that whole networks run in float32 and neither rounding nor overflow shows
(github.com/microsoft/onnxruntime, pull request 17953). A file that is only sound in float32 would then pass for sound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from exporters._onnx_walk import graphs, tensors

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto


def halved(model: ModelProto) -> ModelProto:
    """Weights and arithmetic in float16, inputs and outputs in float32; what has no half form (`Resize`) stays float32."""
    import onnx_ir
    from onnxruntime.transformers.float16 import convert_float_to_float16

    _unshare(model.graph)
    converted = onnx_ir.from_proto(convert_float_to_float16(model, keep_io_types=True))
    converted.graph.sort()  # the conversion appends its casts; a valid file has every node after what it reads
    return _typed(onnx_ir.to_proto(converted))


def _unshare(graph: GraphProto) -> None:
    """Give each `Resize` constants of its own: the conversion adds one cast for each reader of one name, all of one name."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    taken: set[str] = set()
    for node in graph.node:
        for place, name in enumerate(node.input):
            if node.op_type == "Resize" and name in taken:
                copy = graph.initializer.add()
                copy.CopyFrom(stored[name])
                copy.name = node.input[place] = f"{name}.{node.output[0]}"
            elif name in stored:
                taken.add(name)


def rounding(model: ModelProto) -> ModelProto:
    """The float32 model that rounds to float16 wherever `model` holds float16: weights, and the result of every node."""
    import onnx

    single = _typed(model)
    for tensor in tensors(single):
        if tensor.data_type == onnx.TensorProto.FLOAT16:
            values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    for graph in graphs(single):
        _round_results(graph)
    return single


def _typed(model: ModelProto) -> ModelProto:
    """`model` with the types of its values inferred anew: the conversion leaves some of the old ones."""
    import onnx

    del model.graph.value_info[:]
    typed: ModelProto = onnx.shape_inference.infer_shapes(model)
    return typed


def _round_results(graph: GraphProto) -> None:
    import onnx

    half = onnx.TensorProto.FLOAT16
    halves = {value.name for value in graph.value_info if value.type.tensor_type.elem_type == half}
    nodes: list[NodeProto] = []
    for node in graph.node:
        nodes.append(node)
        for index, name in enumerate(node.output):
            if name in halves:
                node.output[index] = f"{name}.exact"
                nodes.append(onnx.helper.make_node("Cast", [f"{name}.exact"], [f"{name}.half"], to=half))
                nodes.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
