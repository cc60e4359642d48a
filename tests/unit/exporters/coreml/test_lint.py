"""Each published rule fires on the operation that it is about, and on no sound one."""

from __future__ import annotations

import pytest

pytest.importorskip("coremltools")

from exporters.coreml.lint import RULES, lint
from tests.fakes.ml_program import FLOAT16, FLOAT32, Program

PICTURE = (1, 32, 64, 64)


def one(kind: str, data_type: int = FLOAT16, shape=PICTURE, **settings: tuple[int, ...]) -> Program:
    """A program of one operation, with its settings as constants."""
    program = Program()
    for name, numbers in settings.items():
        program.body.constant(f"its_{name}", numbers)
    program.body.operation(kind, {"culprit": (data_type, shape)}, **{name: f"its_{name}" for name in settings})
    return program


def wide_kernel() -> Program:
    program = Program()
    program.body.weight("weight", FLOAT16, (8, 8, 31, 31), offset=64)
    program.body.operation("conv", {"culprit": (FLOAT16, PICTURE)}, weight="weight")
    return program


CULPRITS = {
    "float32": one("relu", FLOAT32),
    "rank": one("transpose", shape=(1, 2, 3, 4, 5, 64)),
    "rank-5": one("transpose", shape=(1, 2, 3, 4, 64)),
    "dynamic-shape": one("relu", shape=(1, None, 64, 64)),
    "batch": one("conv", shape=(8, 32, 64, 64)),
    "last-axis": one("reduce_mean", shape=(1, 512, 1, 1)),
    "linear": one("linear", shape=(1, 49, 448)),
    "no-path": one("one_hot"),
    "newer-chips": one("upsample_bilinear"),
    "gather": one("gather_nd"),
    "dilation": one("conv", dilations=(2, 2)),
    "kernel": wide_kernel(),
    "stride": one("max_pool", strides=(5, 5)),
    "shuffle-factor": one("pixel_shuffle", upscale_factor=(5,)),
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
    program.body.weight("weight", FLOAT32, (32, 32, 3, 3), offset=64)  # a weight is not an operator
    program.body.operation("conv", {"layer": (FLOAT16, PICTURE)}, weight="weight")
    program.body.operation("relu", {"activation": (FLOAT16, PICTURE)}, x="layer")
    program.body.operation("cast", {"result": (FLOAT32, PICTURE)}, x="activation")
    assert lint(program.model) == ()


def test_a_kernel_as_wide_as_the_bound_is_allowed():
    assert lint(one("max_pool", kernel_sizes=(29, 29)).model) == ()
    (hint,) = lint(one("max_pool", kernel_sizes=(30, 30)).model)
    assert hint.rule == "kernel"
