"""Runs a function of an ML Program on the CPU, one operator after the other, and checks each result against its declaration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from edge.errors import BadArtifactError, EdgeError
from exporters.coreml.package import AGAIN
from exporters.coreml.runtime import rehearsal
from exporters.coreml.runtime.constants import Stored
from exporters.coreml.runtime.datatypes import DataType, Kind
from exporters.coreml.runtime.ops.table import MOVES, Value
from exporters.coreml.runtime.program import Block, Declared, Function, Operand, Operation, Reference

MOST_TURNS = 2**16
"""Loops that turn more often in one run, all together, do not end: no network's come near."""


class Arithmetic(StrEnum):
    """How results are rounded; sums and products are float32 in all three."""

    EXACT = "exact"
    """Not at all: what the stored weights compute."""
    DECLARED = "declared"
    """To float16 where the program declares float16: what the file asks for."""
    FP16 = "fp16"
    """Every floating-point result and weight to float16, whatever the program declares."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation that has run: what its operator gave, and the values that the program goes on with."""

    operation: Operation
    computed: tuple[Value, ...]
    values: tuple[Value, ...]


@dataclass(slots=True)
class _Plan:
    """A block made ready: its weights, what each operation takes, and the names that are not needed after it."""

    constants: dict[str, Value]
    operations: list[tuple[Operation, dict[str, Operand], tuple[str, ...], tuple[str, ...]]]


@dataclass(slots=True)
class Interpreter:
    """Executes `function`. Weights are decoded on the first run and kept; intermediate values go after their last use."""

    function: Function
    arithmetic: Arithmetic
    _plans: dict[int, _Plan] = field(default_factory=dict)
    _rehearsed: dict[int, Any] = field(default_factory=dict)
    _turns: int = 0

    def run(self, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """The function's results by name. Inputs are as held (see `datatypes`). Raises `BadArtifactError`."""
        results: dict[str, Value] = {}
        for _ in self.steps(inputs, results):
            pass
        return results

    def steps(self, inputs: Mapping[str, Value], results: dict[str, Value]) -> Iterator[Step]:
        """Run operation by operation, yielding each of the function's own (not those inside blocks) once it has run.

        At the end, `results` holds the function's results by name.
        """
        self._turns = 0
        given = {
            value.name: self._settle(value, inputs[value.name], "the input") for value in self.function.body.inputs
        }
        yield from self._run(self.function.body, given, results)

    def _run(self, block: Block, given: dict[str, Value], results: dict[str, Value]) -> Iterator[Step]:
        """`given` holds everything visible to the block; its results are entered in `results` under its own names."""
        plan = self._plans.get(id(block)) or self._plan(block)
        values = {**given, **plan.constants}
        for operation, fixed, needed, ended in plan.operations:
            operands = {**fixed, **{name: _resolve(operation.operands[name], values) for name in needed}}
            computed = self._compute(operation, operands, needed, values)
            settled = tuple(
                self._settle(declared, value, operation.where, moved=operation.type in MOVES)
                for declared, value in zip(operation.outputs, computed, strict=True)
            )
            values.update((declared.name, value) for declared, value in zip(operation.outputs, settled, strict=True))
            for name in ended:
                values.pop(name, None)
            yield Step(operation, computed, settled)
        results.update((name, values[name]) for name in block.outputs)

    def _plan(self, block: Block) -> _Plan:
        """Decode the block's weights, and find what every other operation takes from them and what it is the last to use."""
        constants: dict[str, Value] = {}
        operations = []
        for operation in block.operations:
            if operation.is_constant and all(_is_fixed(operand, constants) for operand in operation.operands.values()):
                operands = {
                    name: _resolve(_decoded(operand), constants) for name, operand in operation.operands.items()
                }
                computed = self._compute(operation, operands, (), constants)
                for declared, value in zip(operation.outputs, computed, strict=True):
                    settled = self._settle(declared, value, operation.where)
                    constants[declared.name] = settled if operation.type == "const" else _as_unpacked(declared, settled)
                continue
            fixed, needed = {}, []
            for name, operand in operation.operands.items():
                if _is_fixed(operand, constants):
                    fixed[name] = _resolve(_decoded(operand), constants)
                else:
                    needed.append(name)
            operations.append((operation, fixed, tuple(needed)))
        last_use = {name: index for index, (each, _, _) in enumerate(operations) for name in each.references()}
        made = {value.name: i for i, (each, _, _) in enumerate(operations) for value in each.outputs}
        ends: dict[int, list[str]] = {}
        for name, index in ({**made, **last_use}).items():
            if name not in block.outputs and name not in constants:
                ends.setdefault(index, []).append(name)
        plan = _Plan(constants, [(*each, tuple(ends.get(index, ()))) for index, each in enumerate(operations)])
        self._plans[id(block)] = plan
        return plan

    def _compute(
        self, operation: Operation, operands: dict[str, Value], needed: Iterable[str], values: Mapping[str, Value]
    ) -> tuple[Value, ...]:
        try:
            if operation.operator is None:
                found: Value = CONTROL[operation.type](self, operation, operands, values)
            else:
                self._rehearse(operation, operands, needed)
                found = operation.operator.compute(**operands)
        except EdgeError as error:
            if operation.operator is None or operation.where in str(error):
                raise
            raise BadArtifactError(f"{operation.where}: {error}", hint=error.hint) from None
        except Exception as error:  # an operator fed what it does not take: whatever torch says of it
            raise BadArtifactError(f"{operation.where} cannot be computed: {_line(error)}", hint=AGAIN) from error
        found = found if isinstance(found, tuple) and len(operation.outputs) != 1 else (found,)
        if len(found) != len(operation.outputs):
            raise BadArtifactError(
                f"{operation.where} declares {len(operation.outputs)} results and has {len(found)}", hint=AGAIN
            )
        return found

    def _rehearse(self, operation: Operation, operands: dict[str, Value], needed: Iterable[str]) -> None:
        """Refuse a huge result, once for each combination of shapes."""
        asked = tuple(rehearsal.key(operands[name]) for name in needed)
        if operation.operator is not None and self._rehearsed.get(id(operation)) != asked:
            rehearsal.refuse_huge(operation.type, operation.operator, operands)
            self._rehearsed[id(operation)] = asked

    def _settle(self, declared: Declared, value: Value, where: str, *, moved: bool = False) -> Value:
        """The value in the width that the file declares for it. Raises `BadArtifactError` when its kind or shape differ."""
        if declared.data_type is None or not isinstance(value, Tensor):
            return value
        if declared.shape is not None and tuple(value.shape) != declared.shape:
            _check_shape(declared, value, where)
        if _kind(value) is not declared.data_type.kind:
            raise BadArtifactError(
                f"{where} declares {declared.name!r} as {declared.data_type.name} and gives {value.dtype}", hint=AGAIN
            )
        if declared.data_type.kind is not Kind.FLOAT:
            return value.to(declared.data_type.held)
        value = value.float()
        return value if moved or not self._rounds(declared.data_type) else value.half().float()

    def _rounds(self, data_type: DataType) -> bool:
        if self.arithmetic is Arithmetic.DECLARED:
            return data_type.name == "fp16"
        return self.arithmetic is Arithmetic.FP16

    def turn(self) -> bool:
        """Count one turn of a loop; whether the run may have it, after those of all loops before."""
        self._turns += 1
        return self._turns <= MOST_TURNS

    def block(self, block: Block, arguments: tuple[Value, ...], values: Mapping[str, Value]) -> tuple[Value, ...]:
        """The results of a block inside an operation, in order; it sees `values` around it."""
        results: dict[str, Value] = {}
        given = {**values, **{value.name: each for value, each in zip(block.inputs, arguments, strict=True)}}
        for _ in self._run(block, given, results):
            pass
        return tuple(results[name] for name in block.outputs)


def _cond(
    interpreter: Interpreter, operation: Operation, operands: dict[str, Value], values: Mapping[str, Value]
) -> tuple[Value, ...]:
    """The first block where `pred` holds, else the second."""
    taken = operation.blocks[0 if bool(operands["pred"]) else 1]
    return _unpacked(interpreter.block(taken, (), values))


def _while_loop(
    interpreter: Interpreter, operation: Operation, operands: dict[str, Value], values: Mapping[str, Value]
) -> tuple[Value, ...]:
    """The second block over and over on `loop_vars` while the first gives true."""
    condition, body = operation.blocks
    carried = operands["loop_vars"]
    while interpreter.turn():
        (goes_on,) = interpreter.block(condition, carried, values)
        if not bool(goes_on):
            return _unpacked(carried)
        carried = interpreter.block(body, carried, values)
    raise BadArtifactError(f"{operation.where} does not end within {MOST_TURNS} turns", hint="do not trust this file")


CONTROL = {"cond": _cond, "while_loop": _while_loop}


def _unpacked(values: tuple[Value, ...]) -> Value:
    return values[0] if len(values) == 1 else values


def _is_fixed(operand: Operand, constants: Mapping[str, Value]) -> bool:
    if isinstance(operand, tuple):
        return all(_is_fixed(one, constants) for one in operand)
    return not isinstance(operand, Reference) or operand.name in constants


def _resolve(operand: Operand, values: Mapping[str, Value]) -> Value:
    if isinstance(operand, Reference):
        return values[operand.name]
    if isinstance(operand, tuple):
        return tuple(_resolve(one, values) for one in operand)
    return operand


def _decoded(operand: Operand) -> Operand:
    if isinstance(operand, tuple):
        return tuple(_decoded(one) for one in operand)
    return operand.tensor() if isinstance(operand, Stored) else operand


def _kind(value: Tensor) -> Kind:
    if value.dtype is torch.bool:
        return Kind.BOOL
    return Kind.FLOAT if value.is_floating_point() else Kind.INTEGER


def _as_unpacked(declared: Declared, value: Value) -> Value:
    """A weight is what its unpacked form would store, so it is rounded even where arithmetic is not."""
    halved = declared.data_type is not None and declared.data_type.name == "fp16" and isinstance(value, Tensor)
    return value.half().float() if halved else value


def _check_shape(declared: Declared, value: Tensor, where: str) -> None:
    assert declared.shape is not None
    found = tuple(value.shape)
    if len(found) != len(declared.shape) or any(
        size not in (None, own) for size, own in zip(declared.shape, found, strict=True)
    ):
        wanted = "×".join("?" if size is None else str(size) for size in declared.shape)
        raise BadArtifactError(
            f"{where} declares {declared.name!r} as {wanted or 'a scalar'} and gives {'×'.join(map(str, found)) or 'a scalar'}",
            hint=AGAIN,
        )


def _line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
