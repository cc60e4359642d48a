"""The functions of an ML Program as plain values, checked: every name is made before it is used, every operator is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge.errors import BadArtifactError, NotExecutableHereError
from exporters.coreml.package import AGAIN
from exporters.coreml.runtime import constants
from exporters.coreml.runtime.constants import Shape
from exporters.coreml.runtime.datatypes import DataType
from exporters.coreml.runtime.ops import OPERATORS
from exporters.coreml.runtime.ops.table import Operator
from exporters.coreml.weights import Weights

OPSETS = {"CoreML5": 15, "CoreML6": 16, "CoreML7": 17, "CoreML8": 18}
"""The iOS release that introduced each set of operators (coremltools, `converters/mil/_deployment_compatibility.py`)."""
LISTS = frozenset({"values", "ref_tensors", "loop_vars", "elem_shape"})
"""Parameters that take several values and stay a tuple when there is one."""
CONTROL_FLOW = frozenset({"cond", "while_loop"})
"""Operators that run blocks: the interpreter's own."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A value's name and, where it is a tensor, the type and shape that the file declares for it."""

    name: str
    data_type: DataType | None = None
    shape: Shape | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """An operand that another operation, a block or the function itself makes."""

    name: str


Operand = Any
"""A `Reference`, a constant value, or a tuple of both."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a block: an operator, its operands by parameter, what it makes, and the blocks that it runs."""

    type: str
    name: str
    index: int
    operands: Mapping[str, Operand]
    outputs: tuple[Declared, ...]
    blocks: tuple[Block, ...] = ()
    operator: Operator | None = None
    """None where the interpreter itself is the operator: control flow."""

    @property
    def where(self) -> str:
        return f"operation {self.index} ({self.type} {self.name!r})"

    @property
    def is_constant(self) -> bool:
        """Whether it makes a stored weight: `const`, or one of the `constexpr_` family that unpacks compressed ones."""
        return self.type == "const" or self.type.startswith("constexpr_")

    def references(self) -> Iterable[str]:
        """Names of all values that it uses, those that its blocks take from around them too."""
        for operand in self.operands.values():
            for one in operand if isinstance(operand, tuple) else (operand,):
                if isinstance(one, Reference):
                    yield one.name
        for block in self.blocks:
            yield from block.captured()


@dataclass(frozen=True, slots=True)
class Block:
    """Operations in order, each using only what stands before it."""

    inputs: tuple[Declared, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]

    def captured(self) -> Iterable[str]:
        """Names that the block uses and does not make."""
        own = {value.name for value in self.inputs}
        for operation in self.operations:
            yield from (name for name in operation.references() if name not in own)
            own.update(value.name for value in operation.outputs)
        yield from (name for name in self.outputs if name not in own)


@dataclass(frozen=True, slots=True)
class Function:
    """One entry of the program; `opset` is the iOS release whose operators it speaks."""

    name: str
    opset: int
    body: Block


def function(model: Any, name: str, weights: Weights) -> Function:
    """The function `name` of a `Model` message.

    Raises `BadArtifactError` when there is none, when an operand is used before it is made (or never made), when a parameter
    is unknown, or when a declared size is absurd; `NotExecutableHereError` when an operator or the opset is unknown.
    """
    functions = model.mlProgram.functions
    if name not in functions:
        known = ", ".join(sorted(functions)) or "none"
        raise BadArtifactError(f"the program has no function {name!r}", hint=f"it has: {known}")
    message = functions[name]
    if message.opset not in message.block_specializations:
        raise BadArtifactError(f"function {name!r} has no body for its opset {message.opset!r}", hint=AGAIN)
    if message.opset not in OPSETS:
        raise NotExecutableHereError(
            f"the reference runtime does not know the opset {message.opset!r}",
            hint=f"known: {', '.join(OPSETS)} (iOS 15 to 18)",
        )
    opset = OPSETS[message.opset]
    reader = _Reader(weights, opset)
    inputs = tuple(reader.declared(value, f"input {value.name!r}") for value in message.inputs)
    body = message.block_specializations[message.opset]
    return Function(name, opset, reader.block(body, inputs, set()))


@dataclass(slots=True)
class _Reader:
    """Reads blocks; counts operations through all of them, as the file lists them.

    A program says the same types and settings hundreds of times: each is read once, known by its bytes.
    """

    weights: Weights
    opset: int
    count: int = 0
    values: dict[bytes, Operand] = field(default_factory=dict)
    types: dict[bytes, tuple[DataType | None, Shape | None]] = field(default_factory=dict)
    sound: set[tuple[str, ...]] = field(default_factory=set)

    def block(self, message: Any, inputs: tuple[Declared, ...], around: set[str]) -> Block:
        visible = set(around)
        for value in inputs:
            _make(visible, value.name, "the function or block")
        operations = []
        for each in message.operations:
            operation = self.operation(each, visible)
            for value in operation.outputs:
                _make(visible, value.name, operation.where)
            operations.append(operation)
        for name in message.outputs:
            _need(visible, name, "the result")
        return Block(inputs, tuple(operations), tuple(message.outputs))

    def operation(self, message: Any, visible: set[str]) -> Operation:
        outputs = message.outputs
        name = outputs[0].name if outputs else message.type
        where = f"operation {self.count} ({message.type} {name!r})"
        index, self.count = self.count, self.count + 1
        operands = {
            parameter: self.operand(parameter, argument, visible, where)
            for parameter, argument in message.inputs.items()
        }
        for parameter, value in message.attributes.items():
            if parameter != "name":
                operands[parameter] = self.value(value, parameter, where)
        made = tuple(self.declared(value, where) for value in outputs)
        return Operation(
            message.type,
            name,
            index,
            operands,
            made,
            tuple(
                self.block(block, tuple(self.declared(value, where) for value in block.inputs), visible)
                for block in message.blocks
            ),
            self.operator(message.type, operands, made, where),
        )

    def operand(self, parameter: str, argument: Any, visible: set[str], where: str) -> Operand:
        bound = []
        for binding in argument.arguments:
            if binding.WhichOneof("binding") == "name":
                _need(visible, binding.name, where)
                bound.append(Reference(binding.name))
            else:
                bound.append(self.value(binding.value, parameter, where))
        if not bound:
            raise BadArtifactError(f"{where} has nothing for {parameter!r}", hint=AGAIN)
        return tuple(bound) if len(bound) > 1 or parameter in LISTS else bound[0]

    def operator(
        self, kind: str, operands: dict[str, Operand], made: tuple[Declared, ...], where: str
    ) -> Operator | None:
        if kind in CONTROL_FLOW:
            return None
        if kind not in OPERATORS:
            raise NotExecutableHereError(
                f"{where}, iOS {self.opset} operators: {kind!r} is not one that the reference runtime knows",
                hint="convert for an older target, or add the operator to exporters/coreml/runtime/ops",
            )
        operator = OPERATORS[kind]
        if operator.wants_opset:
            operands["opset"] = self.opset
        if operator.wants_declared and made:
            operands["declared"] = made[0].data_type
        if (kind, *operands) not in self.sound:
            if wrong := operator.unknown(operands):
                raise BadArtifactError(f"{where} takes no {', '.join(wrong)}", hint=AGAIN)
            if absent := operator.absent(operands):
                raise BadArtifactError(f"{where} lacks {', '.join(absent)}", hint=AGAIN)
            self.sound.add((kind, *operands))
        return operator

    def value(self, message: Any, parameter: str, where: str) -> Operand:
        known = message.SerializeToString()
        if known not in self.values:
            self.values[known] = constants.value(message, self.weights, f"{parameter} of {where}")
        return self.values[known]

    def declared(self, message: Any, where: str) -> Declared:
        known = message.type.SerializeToString()
        if known not in self.types:
            self.types[known] = _tensor_type(message.type, where)
        return Declared(message.name, *self.types[known])


def _tensor_type(message: Any, where: str) -> tuple[DataType | None, Shape | None]:
    """The data type and shape of a value that is a tensor, or a state that holds one."""
    if message.WhichOneof("type") == "stateType":
        message = message.stateType.wrappedType
    return constants.tensor_type(message.tensorType, where) if message.HasField("tensorType") else (None, None)


def _make(visible: set[str], name: str, where: str) -> None:
    if name in visible:
        raise BadArtifactError(f"{where} makes {name!r}, which is there already", hint=AGAIN)
    visible.add(name)


def _need(visible: set[str], name: str, where: str) -> None:
    if name not in visible:
        raise BadArtifactError(f"{where} uses {name!r}, which nothing before it makes", hint=AGAIN)
