"""Whatever is done to a package, loading and running it either works or says in our own words that it is bad."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import NotExecutableHereError, UsageError
from edge.spec import Precision, Recipe
from exporters.coreml import package
from exporters.coreml.proto import model_class
from exporters.coreml.runtime import interpreter
from exporters.coreml.runtime.model import load
from exporters.coreml.runtime.ops import OPERATORS
from tests.fakes.ml_program import FLOAT32, INT32, Program, blob_file, tensor, write

FILES = (f"Data/{package.MODEL}", package.MANIFEST, f"Data/{package.WEIGHTS}/weight.bin")
RNG = np.random.default_rng(0)
IMAGE, SMALL_IMAGE = RNG.random((1, 3, 32, 32), np.float32), RNG.random((1, 3, 6, 6), np.float32)
NUMBERS = st.one_of(st.integers(-3, 8), st.sampled_from([2**16, 2**31 - 1, 2**31, 2**40, 2**63 - 1, 2**64 - 1]))
FEW_TURNS = 64
"""A mutation often makes a loop endless; stopping it at the shipped limit takes seconds each time."""


def convolution() -> tuple[Program, bytes]:
    """Weights in the blob file, a convolution with all its settings, a pool, and a classifier's end."""
    rng = np.random.default_rng(1)
    content, offsets = blob_file(
        rng.random((4, 3, 3, 3), np.float32), rng.random(4, np.float32), rng.random((2, 4), np.float32)
    )
    program = Program(16)
    program.array_input("x", (1, 3, 6, 6))
    body = program.body
    for name, shape, offset in zip("wbh", [(4, 3, 3, 3), (4,), (2, 4)], offsets, strict=True):
        body.weight(name, FLOAT32, shape, offset)
    for name, value in {
        "strides": [1, 1], "dilations": [1, 1], "pad": [1, 1, 1, 1], "groups": 1, "axes": [2, 3], "drop": False,
        "pad_type": "custom",
    }.items():  # fmt: skip
        body.constant(name, value)
    body.operation(
        "conv", {"c": (FLOAT32, (1, 4, 6, 6))}, x="x", weight="w", bias="b", strides="strides", pad_type="pad_type",
        pad="pad", dilations="dilations", groups="groups",
    )  # fmt: skip
    body.operation("relu", {"r": (FLOAT32, (1, 4, 6, 6))}, x="c")
    body.operation("reduce_mean", {"m": (FLOAT32, (1, 4))}, x="r", axes="axes", keep_dims="drop")
    body.operation("linear", {"y": (FLOAT32, (1, 2))}, x="m", weight="h")
    program.output("y")
    return program, content


def moving() -> tuple[Program, bytes]:
    """Slices, concatenation and shapes given as settings, without declared sizes."""
    content, (offset,) = blob_file(np.arange(108, dtype=np.float32).reshape(1, 3, 6, 6))
    program = Program(17)
    program.array_input("x", (1, 3, 6, 6))
    body = program.body
    body.weight("w", FLOAT32, (1, 3, 6, 6), offset)
    for name, value in {
        "axis": 1, "begin": [0, 1, 0, 2], "end": [1, 6, 5, 6], "shape": [5, -1], "perm": [1, 0], "reps": [2, 1],
        "interleave": False, "pad": [1, 2], "mode": "constant", "zero": 0.0,
    }.items():  # fmt: skip
        body.constant(name, value)
    openly = (FLOAT32, (None, None))
    body.operation("concat", {"c": (FLOAT32, (1, 6, 6, 6))}, values=["x", "w"], axis="axis", interleave="interleave")
    body.operation("slice_by_index", {"s": (FLOAT32, (1, 5, 5, 4))}, x="c", begin="begin", end="end")
    body.operation("reshape", {"f": openly}, x="s", shape="shape")
    body.operation("transpose", {"t": openly}, x="f", perm="perm")
    body.operation("tile", {"r": openly}, x="t", reps="reps")
    body.operation("pad", {"p": openly}, x="r", pad="pad", mode="mode", constant_val="zero")
    body.operation("matmul", {"y": openly}, x="t", y="f")
    program.output("y")
    program.output("p")
    return program, content


def looping() -> tuple[Program, bytes]:
    """A loop that counts to three, a condition, and compressed weights."""
    content, (data, scale) = blob_file(np.arange(36, dtype=np.int8).reshape(6, 6), np.full((6, 1), 0.5, np.float32))
    program = Program(18)
    program.array_input("x", (1, 3, 6, 6))
    body = program.body
    body.weight("data", 21, (6, 6), data)
    body.weight("scale", FLOAT32, (6, 1), scale)
    body.operation("constexpr_blockwise_shift_scale", {"w": (FLOAT32, (6, 6))}, data="data", scale="scale")
    for name, value in {"zero": 0, "one": 1, "three": 3}.items():
        body.constant(name, value)
    counter, plane = (INT32, ()), (FLOAT32, (1, 3, 6, 6))
    message = body.operation("while_loop", {"n": counter, "l": plane}, loop_vars=["zero", "x"])
    condition, turn = body.within(message), body.within(message)
    for block, prefix in ((condition, "c"), (turn, "t")):
        for name, (data_type, shape) in {f"{prefix}n": counter, f"{prefix}x": plane}.items():
            tensor(block.block.inputs.add(name=name).type, data_type, shape)
    condition.operation("less", {"goes_on": (1, ())}, x="cn", y="three")
    condition.block.outputs.append("goes_on")
    turn.operation("add", {"next": counter}, x="tn", y="one")
    turn.operation("matmul", {"product": plane}, x="tx", y="w")
    turn.block.outputs.extend(["next", "product"])
    body.operation("less", {"small": (1, ())}, x="n", y="three")
    choice = body.operation("cond", {"y": plane}, pred="small")
    for kind in ("relu", "square"):
        branch = body.within(choice)
        branch.operation(kind, {kind: plane}, x="l")
        branch.block.outputs.append(kind)
    program.output("y")
    return program, content


PROGRAMS: dict[str, Callable[[], tuple[Program, bytes]]] = {
    "convolution": convolution, "moving": moving, "looping": looping,
}  # fmt: skip


NAMES = ("classifier", *PROGRAMS)


@pytest.fixture(scope="module")
def sound(file_of, tmp_path_factory) -> dict[str, Path]:
    """Small programs of every kind, and one that coremltools wrote."""
    written = {name: write(tmp_path_factory.mktemp(name), *make()) for name, make in PROGRAMS.items()}
    return {"classifier": file_of("classifier", Recipe("coreml", Precision.FP16)), **written}


@pytest.fixture(autouse=True)
def few_turns(monkeypatch):
    monkeypatch.setattr(interpreter, "MOST_TURNS", FEW_TURNS)


def attempt(path: Path, given: np.ndarray) -> bool:
    """Load and run; whether it worked. Anything but our own error escapes and fails the test."""
    try:
        loaded = load(path)
        loaded.predict({feature.name: given for feature in loaded.description.input})
    except (UsageError, NotExecutableHereError) as error:
        assert str(error)
        return False
    return True


def damaged(path: Path, name: str, content: bytes, given: np.ndarray) -> bool:
    """As `attempt`, with another content for one of the package's files."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        shutil.copytree(path, copy)
        (copy / name).write_bytes(content)
        return attempt(copy, given)


def fuzz(examples: int) -> Callable[..., Any]:
    """The same examples every time, in a time that CI has."""
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=checks)


def image_for(name: str) -> np.ndarray:
    return SMALL_IMAGE if name in PROGRAMS else IMAGE


@pytest.mark.parametrize("name", NAMES)
def test_the_packages_that_are_going_to_be_damaged_run(name, sound):
    assert attempt(sound[name], image_for(name))


@fuzz(200)
@given(st.data())
def test_changed_bytes_never_lead_to_another_error_than_ours(sound, data):
    program = data.draw(st.sampled_from(NAMES), "program")
    path = sound[program]
    name = data.draw(st.sampled_from(FILES), "file")
    content = bytearray((path / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4), "changes")):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)), "place")
        change = data.draw(st.sampled_from(["flip", "truncate", "insert", "remove"]), "change")
        if change == "flip" and content:
            content[at] ^= 1 << data.draw(st.integers(0, 7), "bit")
        elif change == "truncate":
            del content[at:]
        elif change == "insert":
            content[at:at] = data.draw(st.binary(min_size=1, max_size=8), "bytes")
        else:
            del content[at : at + data.draw(st.integers(1, 16), "length")]
    damaged(path, name, bytes(content), image_for(program))


def messages(message: Any) -> list[Any]:
    """A protobuf message and all messages inside it, those that have fields."""
    found = [message] if message.DESCRIPTOR.fields else []
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                found.extend(each for key in sorted(value) for each in messages(value[key]))
        else:
            for each in value if field.is_repeated else [value]:
                found.extend(messages(each))
    return found


@fuzz(500)
@given(st.data())
def test_a_changed_program_never_leads_to_another_error_than_ours(sound, data):
    program = data.draw(st.sampled_from(NAMES), "program")
    path = sound[program]
    model = model_class().FromString((path / FILES[0]).read_bytes())
    for _ in range(data.draw(st.integers(1, 3), "changes")):
        every = messages(model)
        change_message(data, every[data.draw(st.integers(0, len(every) - 1), "message")], names_in(every))
    damaged(path, FILES[0], model.SerializeToString(), image_for(program))


def names_in(every: list[Any]) -> list[str]:
    """Names that bindings may be changed to: those in use, and one that is not."""
    return ["nowhere", *sorted({message.name for message in every if hasattr(message, "name")} - {""})]


def change_message(data: st.DataObject, message: Any, names: list[str]) -> None:
    """Change, add to or clear one field of a message."""
    field = message.DESCRIPTOR.fields[data.draw(st.integers(0, len(message.DESCRIPTOR.fields) - 1), "field")]
    if field.message_type is not None or data.draw(st.integers(0, 9), "clear") == 0:
        change_part(data, message, field)
        return
    value = data.draw(scalar(field, names), "value")
    try:
        if field.is_repeated:
            values = getattr(message, field.name)
            if values:
                values[data.draw(st.integers(0, len(values) - 1), "index")] = value
            else:
                values.append(value)
        else:
            setattr(message, field.name, value)
    except (ValueError, TypeError):  # a number that the field is too narrow for
        return


def change_part(data: st.DataObject, message: Any, field: Any) -> None:
    """Remove a field, drop or repeat one of several messages, or make an empty one."""
    if field.message_type is None or not field.is_repeated:
        if field.message_type is not None and data.draw(st.booleans(), "make"):
            getattr(message, field.name).SetInParent()
        else:
            message.ClearField(field.name)
        return
    several = getattr(message, field.name)
    if field.message_type.GetOptions().map_entry:
        if len(several):
            several.pop(data.draw(st.sampled_from(sorted(several)), "key"))
    elif len(several):
        at = data.draw(st.integers(0, len(several) - 1), "index")
        if data.draw(st.booleans(), "repeat"):
            several.append(several[at])
        else:
            del several[at]
    else:
        several.add()


def scalar(field: Any, names: list[str]) -> st.SearchStrategy[Any]:
    """Values for a field that holds no message."""
    words = st.sampled_from([*names, *sorted(OPERATORS), "while_loop", "cond", "", "CoreML5", "CoreML8", "same"])
    by_type = {
        field.CPPTYPE_STRING: st.binary(max_size=8) if field.type == field.TYPE_BYTES else words,
        field.CPPTYPE_BOOL: st.booleans(),
        field.CPPTYPE_FLOAT: st.floats(width=32),
        field.CPPTYPE_DOUBLE: st.floats(),
        field.CPPTYPE_ENUM: st.one_of(st.integers(0, 45), st.sampled_from([65552, 65568, 65600, 131080, 131104])),
    }
    return by_type.get(field.cpp_type, NUMBERS)
