"""Each published rule fires on the operation that it is about, and on no sound one."""

from __future__ import annotations

import pytest

pytest.importorskip("coremltools")

from exporters.coreml.lint import RULES, lint
from exporters.coreml.proto import model_class

FP16, FP32, INT32 = 10, 11, 23
PICTURE = (1, 32, 64, 64)


class Program:
    """A program that a test writes operation by operation."""

    def __init__(self) -> None:
        self.model = model_class()()
        function = self.model.mlProgram.functions["main"]
        function.opset = "CoreML7"
        self.block = function.block_specializations["CoreML7"]

    def constant(self, name: str, data_type: int, shape: tuple[int, ...], numbers: tuple[int, ...] = ()) -> str:
        operation = self.add("const", name, data_type, shape)
        value = operation.attributes["val"]
        value.type.tensorType.CopyFrom(operation.outputs[0].type.tensorType)
        value.immediateValue.tensor.ints.values.extend(numbers)
        return name

    def add(self, kind, name, data_type=FP16, shape=PICTURE, **inputs: str):
        operation = self.block.operations.add(type=kind)
        output = operation.outputs.add(name=name)
        tensor = output.type.tensorType
        tensor.dataType, tensor.rank = data_type, len(shape)
        for size in shape:
            axis = tensor.dimensions.add()
            if size is None:
                axis.unknown.variadic = False
            else:
                axis.constant.size = size
        for parameter, source in inputs.items():
            operation.inputs[parameter].arguments.add(name=source)
        return operation

    def set(self, kind: str, setting: str, numbers: tuple[int, ...], **inputs: str) -> Program:
        """One operation with one setting."""
        self.constant("numbers", INT32, (len(numbers),), numbers)
        self.add(kind, "culprit", **{setting: "numbers", **inputs})
        return self


def one(kind, data_type=FP16, shape=PICTURE) -> Program:
    program = Program()
    program.add(kind, "culprit", data_type, shape)
    return program


def wide_kernel() -> Program:
    program = Program()
    program.constant("weight", FP16, (8, 8, 31, 31))
    program.add("conv", "culprit", weight="weight")
    return program


CULPRITS = {
    "float32": one("relu", FP32),
    "rank": one("transpose", shape=(1, 2, 3, 4, 5, 64)),
    "rank-5": one("transpose", shape=(1, 2, 3, 4, 64)),
    "dynamic-shape": one("relu", shape=(1, None, 64, 64)),
    "batch": one("conv", shape=(8, 32, 64, 64)),
    "last-axis": one("reduce_mean", shape=(1, 512, 1, 1)),
    "linear": one("linear", shape=(1, 49, 448)),
    "no-path": one("one_hot"),
    "newer-chips": one("upsample_bilinear"),
    "gather": one("gather_nd"),
    "dilation": Program().set("conv", "dilations", (2, 2)),
    "kernel": wide_kernel(),
    "stride": Program().set("max_pool", "strides", (5, 5)),
    "shuffle-factor": Program().set("pixel_shuffle", "upscale_factor", (5,)),
    "size": one("relu", shape=(1, 70000, 64, 64)),
    "suppression": one("non_maximum_suppression"),
}


def test_every_rule_has_a_culprit_here():
    assert {rule.name for rule in RULES} == set(CULPRITS)


@pytest.mark.parametrize("rule", CULPRITS)
def test_a_culprit_is_found_by_its_rule_alone(rule):
    (hint,) = lint(CULPRITS[rule].model)
    assert (hint.rule, hint.operators) == (rule, ("culprit",))
    assert hint.source


def test_a_program_that_suits_the_engine_gives_no_hint():
    program = Program()
    program.constant("weight", FP32, (32, 32, 3, 3))  # a weight is not an operator
    program.add("conv", "layer", weight="weight")
    program.add("relu", "activation")
    program.add("cast", "result", FP32)
    assert lint(program.model) == ()


def test_a_kernel_as_wide_as_the_bound_is_allowed():
    program = Program().set("max_pool", "kernel_sizes", (29, 29))
    assert lint(program.model) == ()
    (hint,) = lint(Program().set("max_pool", "kernel_sizes", (30, 30)).model)
    assert hint.rule == "kernel"
