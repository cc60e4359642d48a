"""Between what a caller gives and gets (arrays, numbers, pictures, a label) and the tensors of a program."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from edge.errors import BadArtifactError, UsageError
from exporters.coreml.package import AGAIN
from exporters.coreml.runtime import pictures
from exporters.coreml.runtime.constants import LARGEST_TENSOR_BYTES, UNTRUSTED
from exporters.coreml.runtime.datatypes import Kind

if TYPE_CHECKING:
    from exporters.coreml.runtime.program import Declared, Function

ARRAYS = {65568: np.float32, 65600: np.float64, 65552: np.float16, 131104: np.int32, 131080: np.int8}
"""Array types by number (Core ML's FeatureTypes.proto)."""
SCALARS = {"int64Type": int, "doubleType": float, "stringType": str}
INPUTS = frozenset({"multiArrayType", "imageType", *SCALARS})
OUTPUTS = INPUTS | {"dictionaryType"}
TENSORS = {"f": torch.float32, "i": torch.int32}
"""What holds an array in the program, by NumPy's letter for its kind; the interpreter sees to the width."""


class State:
    """A tensor that lives from one prediction to the next; an operator that writes it puts another `value` here."""

    def __init__(self, value: torch.Tensor) -> None:
        self.value = value


def check(description: Any, function: Function) -> None:
    """The description and the function tell of the same inputs and outputs. Raises `BadArtifactError`."""
    declared = {value.name: value for value in function.body.inputs}
    described = [*description.input, *description.state]
    _check_names("inputs", [feature.name for feature in described], declared)
    _check_names("outputs", [feature.name for feature in description.output], dict.fromkeys(function.body.outputs))
    for feature in description.input:
        _check_type(feature, INPUTS, "input")
        _check_input(feature, declared[feature.name])
    for feature in description.output:
        _check_type(feature, OUTPUTS, "output")
    for feature in description.state:
        _check_type(feature, frozenset({"stateType"}), "state")
        _check_state(feature, declared[feature.name])


def inputs(description: Any, function: Function, given: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors by name. Raises `UsageError` when a feature is missing or unknown, or of another type or size."""
    declared = {value.name: value for value in function.body.inputs}
    known = {feature.name for feature in description.input}
    needed = {feature.name for feature in description.input if not feature.type.isOptional}
    if wrong := sorted((given.keys() - known) | (needed - given.keys())):
        raise UsageError(f"inputs {', '.join(wrong)}: missing or unknown", hint=f"it takes {', '.join(sorted(known))}")
    return {
        feature.name: _given(feature.name, feature.type, declared[feature.name], given[feature.name])
        if feature.name in given
        else _default(feature.name, feature.type, declared[feature.name])
        for feature in description.input
    }


def results(description: Any, found: Mapping[str, Any]) -> dict[str, Any]:
    """What the caller gets, by name: arrays of the declared type, pictures, numbers, or a label and its dictionary."""
    return {feature.name: _result(feature.name, feature.type, found[feature.name]) for feature in description.output}


def states(description: Any) -> dict[str, State]:
    """All zeros, as Core ML makes them."""
    return {
        feature.name: State(torch.zeros(list(feature.type.stateType.arrayType.shape))) for feature in description.state
    }


def given_states(description: Any, state: Mapping[str, Any]) -> dict[str, State]:
    """The states that the caller kept. Raises `UsageError` when they are another function's."""
    wanted = {feature.name: tuple(feature.type.stateType.arrayType.shape) for feature in description.state}
    if {name: tuple(one.value.shape) for name, one in state.items() if isinstance(one, State)} != wanted:
        raise UsageError("these states are not of this function", hint="take them from its own make_state()")
    return dict(state)


def _check_names(noun: str, described: list[str], declared: Mapping[str, Any]) -> None:
    if len(set(described)) != len(described):
        raise BadArtifactError(f"the description names one of its {noun} twice", hint=AGAIN)
    if wrong := sorted(set(described) ^ declared.keys()):
        raise BadArtifactError(
            f"{noun} {', '.join(map(repr, wrong))}: described or in the program, not both", hint=AGAIN
        )


def _check_type(feature: Any, known: frozenset[str], noun: str) -> None:
    kind = feature.type.WhichOneof("Type")
    if kind not in known:
        raise BadArtifactError(f"{noun} {feature.name!r} is of type {kind}, which is not understood here", hint=AGAIN)
    array = {"multiArrayType": feature.type.multiArrayType, "stateType": feature.type.stateType.arrayType}.get(kind)
    if array is not None and array.dataType not in ARRAYS:
        raise BadArtifactError(f"{noun} {feature.name!r} has the unknown array type {array.dataType}", hint=AGAIN)
    if kind == "imageType" and pictures.planes(feature.type.imageType.colorSpace) is None:
        raise BadArtifactError(f"{noun} {feature.name!r} is a picture of unknown colours", hint=AGAIN)


def _check_input(feature: Any, declared: Declared) -> None:
    """A feature and the tensor that it becomes have the same kind of values, and can have the same shape."""
    kind = feature.type.WhichOneof("Type")
    held = Kind.STRING if kind == "stringType" else Kind.FLOAT
    shape: tuple[int, ...] = ()
    if kind == "int64Type":
        held = Kind.INTEGER
    if kind == "multiArrayType":
        array = feature.type.multiArrayType
        held = Kind.FLOAT if np.dtype(ARRAYS[array.dataType]).kind == "f" else Kind.INTEGER
        shape = tuple(array.shape)
    if kind == "imageType":
        picture = feature.type.imageType
        shape = (1, pictures.planes(picture.colorSpace) or 0, picture.height, picture.width)
    if declared.data_type is None or declared.data_type.kind is not held:
        raise BadArtifactError(f"input {feature.name!r} and the program's have different types", hint=AGAIN)
    if shape and not _fits(declared, shape):
        raise BadArtifactError(f"input {feature.name!r} is {_words(shape)} in the description only", hint=AGAIN)


def _check_state(feature: Any, declared: Declared) -> None:
    shape = tuple(feature.type.stateType.arrayType.shape)
    if declared.shape != shape:  # the program's own has been checked for an absurd size
        raise BadArtifactError(f"state {feature.name!r} is {_words(shape)} in the description only", hint=AGAIN)


def _fits(declared: Declared, shape: tuple[int, ...]) -> bool:
    """A description has no scalars: one value along one axis stands for it."""
    if declared.shape is None or (declared.shape == () and shape == (1,)):
        return True
    return len(declared.shape) == len(shape) and all(
        size is None or size == own for size, own in zip(declared.shape, shape, strict=True)
    )


def _given(name: str, kind: Any, declared: Declared, value: Any) -> Any:
    which = kind.WhichOneof("Type")
    if which == "imageType":
        return pictures.to_tensor(name, kind.imageType, value)
    if which in SCALARS:
        return _scalar(name, SCALARS[which], declared, value)
    array = _array(name, kind.multiArrayType, value)
    if not _allowed(kind.multiArrayType, array.shape) or not _fits(declared, array.shape):
        raise UsageError(
            f"{name} takes {_shapes(kind.multiArrayType, declared)}, not {_words(array.shape)}", hint="reshape it first"
        )
    tensor = torch.from_numpy(array)
    return tensor.reshape(()) if declared.shape == () else tensor


def _scalar(name: str, held: type, declared: Declared, value: Any) -> Any:
    if held is str:
        if not isinstance(value, str):
            raise UsageError(f"{name} takes a text, not {type(value).__name__}", hint="give a str")
        return value
    number = _numbers(name, value)
    if number.size != 1 or (held is int and (number.dtype.kind == "f" or not -(2**63) <= number.item() < 2**63)):
        raise UsageError(f"{name} takes one {held.__name__}", hint="give a single number")
    tensor = torch.tensor(number.item(), dtype=torch.float32 if held is float else torch.int64)
    return tensor.reshape([1] * len(declared.shape or ()))


def _array(name: str, kind: Any, value: Any) -> NDArray[Any]:
    """As the program holds it; whole numbers for an integer feature may come as floating point."""
    array, wanted = _numbers(name, value), np.dtype(ARRAYS[kind.dataType])
    if wanted.kind == "f":
        with np.errstate(over="ignore"):
            return np.array(array, np.float32, order="C")
    bits = 8 * wanted.itemsize
    end = 2 ** (bits - 1)
    if array.size and not (array.min() >= -end and array.max() < end and bool((array == np.trunc(array)).all())):
        raise UsageError(f"{name} takes whole numbers of {bits} bits", hint="convert them first")
    return np.array(array, np.int8 if wanted.itemsize == 1 else np.int32, order="C")


def _numbers(name: str, value: Any) -> NDArray[Any]:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UsageError(f"{name} takes an array: {error}", hint="give a NumPy array") from None
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{name} takes numbers, not {array.dtype}", hint="give a NumPy array")
    return array


def _allowed(kind: Any, shape: tuple[int, ...]) -> bool:
    flexibility = kind.WhichOneof("ShapeFlexibility")
    if flexibility == "enumeratedShapes":
        return shape in [tuple(each.shape) for each in kind.enumeratedShapes.shapes]
    if flexibility == "shapeRange":
        limits = kind.shapeRange.sizeRanges
        return len(limits) == len(shape) and all(map(pictures.within, limits, shape))
    wanted = tuple(kind.shape)
    return not wanted or shape == wanted or (wanted == (1,) and shape == ())


def _shapes(kind: Any, declared: Declared) -> str:
    flexibility = kind.WhichOneof("ShapeFlexibility")
    if flexibility == "enumeratedShapes":
        return " or ".join(_words(each.shape) for each in kind.enumeratedShapes.shapes) or "nothing"
    if flexibility == "shapeRange":
        return "×".join(map(pictures.span, kind.shapeRange.sizeRanges)) or "a scalar"
    return _words(kind.shape or declared.shape or ())


def _default(name: str, kind: Any, declared: Declared) -> Any:
    """What stands in for an optional input: the default of its description, zero where that has none."""
    which = kind.WhichOneof("Type")
    if which != "multiArrayType":
        raise UsageError(f"{name} is optional and has no default that is known here", hint="give it")
    array = kind.multiArrayType
    described = declared.shape is None or None in declared.shape
    shape = tuple(array.shape) if described else tuple(size or 0 for size in declared.shape or ())
    if any(size < 0 for size in shape) or 8 * math.prod(shape) > LARGEST_TENSOR_BYTES:
        raise BadArtifactError(f"optional input {name!r} has the absurd shape {_words(shape)}", hint=UNTRUSTED)
    value = array.WhichOneof("defaultOptionalValue")
    number = getattr(array, value) if value else 0
    wanted = np.dtype(ARRAYS[array.dataType])
    dtype = TENSORS[wanted.kind] if wanted.itemsize > 1 else torch.int8
    return torch.from_numpy(np.asarray(_array(name, array, number))).to(dtype).expand(shape).contiguous()


def _result(name: str, kind: Any, value: Any) -> Any:
    which = kind.WhichOneof("Type")
    try:
        if which == "imageType" and isinstance(value, torch.Tensor):
            return pictures.from_tensor(name, kind.imageType, value)
        if which == "multiArrayType" and isinstance(value, torch.Tensor):
            return _result_array(name, kind.multiArrayType, value)
        if which == "dictionaryType" and isinstance(value, dict):
            return value
        if which in SCALARS and not isinstance(value, dict | tuple):
            return SCALARS[which](value.item() if isinstance(value, torch.Tensor) else value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise BadArtifactError(f"output {name!r} is no {which}: {error}", hint=AGAIN) from None
    raise BadArtifactError(f"output {name!r} is described as {which} and is {type(value).__name__}", hint=AGAIN)


def _result_array(name: str, kind: Any, value: torch.Tensor) -> NDArray[Any]:
    shape = tuple(kind.shape)
    fixed = bool(shape) and kind.WhichOneof("ShapeFlexibility") is None
    if fixed and shape != tuple(value.shape) and (shape, tuple(value.shape)) != ((1,), ()):
        raise BadArtifactError(
            f"output {name!r} is described as {_words(shape)} and is {_words(value.shape)}", hint=AGAIN
        )
    with np.errstate(over="ignore"):  # beyond float16 is infinity, as on a device
        return value.detach().numpy().astype(ARRAYS[kind.dataType])


def _words(shape: Iterable[int | None]) -> str:
    return "×".join("?" if size is None else str(size) for size in shape) or "a scalar"
