"""A TFLite model taken apart: every operator as a model of its own, which LiteRT's interpreter executes without delegates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Any

import numpy as np

from edge.errors import BadArtifactError
from edge.parts import Operator, Parts, Values
from exporters.tflite import flatbuffer

Open = Callable[[bytes], Any]
"""Makes an interpreter, ready to run. Raises `BadArtifactError`."""


def take_apart(data: bytes, open_interpreter: Open) -> Parts:
    """The operators that depend on the model's inputs. Raises `BadArtifactError`."""
    flatbuffer.checked(data)
    kinds = flatbuffer.operator_names(data)
    model = flatbuffer.parse(data)
    if len(model.subgraphs) != 1:
        raise BadArtifactError(
            "the file's operators run graphs of their own, so they cannot be executed one by one",
            hint="bisect another target of the same model",
        )
    graph = model.subgraphs[0]
    names = _names(graph)
    computed = set(map(int, graph.inputs))
    constant: dict[int, list[Any]] = {}
    operators = []
    for operator, kind in zip(graph.operators, kinds, strict=True):
        taken, made = _indices(operator.inputs), _indices(operator.outputs)
        needed = [index for index in dict.fromkeys(taken) if index in computed]
        chain = [*{id(each): each for index in taken for each in constant.get(index, ())}.values(), operator]
        if not needed:
            constant |= dict.fromkeys(made, chain)
            continue
        computed.update(made)
        run = _runner(model, chain, needed, made, open_interpreter)
        operators.append(Operator(names[made[0]], kind, _pick(names, needed), _pick(names, made), run))
    return Parts(_pick(names, graph.inputs), tuple(operators))


def _names(graph: Any) -> list[str]:
    """The tensors' names; where several share one, their place tells them apart."""
    names = [tensor.name.decode() if isinstance(tensor.name, bytes) else str(tensor.name) for tensor in graph.tensors]
    count = Counter(names)
    return [name if count[name] == 1 else f"{name}#{place}" for place, name in enumerate(names)]


def _pick(names: Sequence[str], indices: Iterable[Any]) -> tuple[str, ...]:
    return tuple(names[index] for index in indices)


def _indices(tensors: Any) -> list[int]:
    """Tensors by number; -1 stands for an operand that was left out."""
    return [int(index) for index in tensors if index >= 0]


def _runner(
    model: Any, chain: Sequence[Any], inputs: Sequence[int], outputs: Sequence[int], open_interpreter: Open
) -> Callable[[Sequence[Values]], list[Values]]:
    def run(rows: Sequence[Values]) -> list[Values]:
        interpreter = open_interpreter(_alone(model, chain, inputs, outputs))
        places = [detail["index"] for detail in interpreter.get_input_details()]
        results = [detail["index"] for detail in interpreter.get_output_details()]
        found = []
        for row in rows:
            try:
                for place, value in zip(places, row, strict=True):
                    interpreter.set_tensor(place, value)
                interpreter.invoke()
            except (ValueError, RuntimeError) as error:
                raise BadArtifactError(f"an operator does not run: {error}", hint="export the model again") from error
            found.append(tuple(interpreter.get_tensor(place) for place in results))
        return found

    return run


def _alone(model: Any, chain: Sequence[Any], inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
    """The bytes of a model that holds some operators of `model`, and of its tensors and buffers only what they use."""
    from ai_edge_litert.schema_py_generated import BufferT, ModelT, SubGraphT

    graph = model.subgraphs[0]
    used = sorted({index for each in chain for index in (*_indices(each.inputs), *_indices(each.outputs))})
    place = {index: new for new, index in enumerate(used)}
    buffers, tensors = [BufferT()], []
    for index in used:
        tensor = copy(graph.tensors[index])
        data = model.buffers[tensor.buffer].data
        tensor.buffer = 0  # empty by convention: the value is computed
        if data is not None and len(data):
            tensor.buffer = len(buffers)
            buffers.append(BufferT(data=data))
        tensors.append(tensor)
    operators = []
    for each in chain:
        operator = copy(each)
        operator.inputs = np.array([place.get(int(index), -1) for index in each.inputs], np.int32)
        operator.outputs = np.array([place[index] for index in _indices(each.outputs)], np.int32)
        operators.append(operator)
    ends = ([place[index] for index in inputs], [place[index] for index in outputs])
    part = SubGraphT(tensors=tensors, inputs=ends[0], outputs=ends[1], operators=operators, name="part")
    return flatbuffer.serialise(
        ModelT(version=model.version, operatorCodes=model.operatorCodes, subgraphs=[part], buffers=buffers)
    )
