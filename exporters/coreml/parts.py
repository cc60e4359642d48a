"""An ML package taken apart: every operation as a function of its own, which the reference runtime executes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge.card import Card
from edge.errors import BadArtifactError
from edge.parts import Operator, Parts, Values
from exporters.coreml.runtime import model
from exporters.coreml.runtime.interpreter import Arithmetic, Interpreter
from exporters.coreml.runtime.program import Block, Declared, Function, Operation


def take_apart(path: Path, card: Card) -> Parts:
    """The operations of the package's default function that are no weights. Raises `BadArtifactError`."""
    function = model.load(path).interpreter.function
    inputs = tuple(value.name for value in function.body.inputs)
    if len(inputs) != len(card.inputs):
        raise BadArtifactError(f"{path.name} takes {len(inputs)} inputs, its card says {len(card.inputs)}")
    constants: dict[str, Operation] = {}
    operators = []
    for operation in function.body.operations:
        if operation.is_constant:
            constants.update((value.name, operation) for value in operation.outputs)
        else:
            operators.append(_operator(function, operation, constants))
    return Parts(inputs, tuple(operators))


def _operator(function: Function, operation: Operation, constants: dict[str, Operation]) -> Operator:
    used = tuple(dict.fromkeys(operation.references()))
    inputs = tuple(name for name in used if name not in constants)
    outputs = tuple(value.name for value in operation.outputs)
    weights = _with_origins((name for name in used if name in constants), constants)
    block = Block(tuple(map(Declared, inputs)), (*weights, operation), outputs)
    alone = Function(function.name, function.opset, block)
    return Operator(operation.name, operation.type, inputs, outputs, _runner(alone))


def _with_origins(names: Iterable[str], constants: dict[str, Operation]) -> list[Operation]:
    """The operations that make the constants `names`, and the constants that those unpack, in the file's order."""
    wanted, found = list(names), {}
    while wanted:
        operation = constants[wanted.pop()]
        found[operation.index] = operation
        wanted += operation.references()
    return [found[index] for index in sorted(found)]


def _runner(function: Function) -> Callable[[Sequence[Values]], list[Values]]:
    block = function.body

    def run(rows: Sequence[Values]) -> list[Values]:
        interpreter = Interpreter(function, Arithmetic.DECLARED)  # a fresh one each time: it keeps its weights decoded
        results = []
        for row in rows:
            given = {value.name: _held(one) for value, one in zip(block.inputs, row, strict=True)}
            found = interpreter.run(given)
            results.append(tuple(found[name] for name in block.outputs))
        return results

    return run


def _held(value: Any) -> Any:
    """A value as the runtime holds it: float32, bool, or integers of 32 bits at most; what is no array stays as it is."""
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind == "f":
        return torch.from_numpy(np.ascontiguousarray(value, np.float32))
    return torch.from_numpy(np.ascontiguousarray(value if value.dtype.kind == "b" else value.astype(np.int32)))
