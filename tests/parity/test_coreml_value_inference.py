"""Operators of the Core ML runtime against what coremltools folds the same constants to when it converts."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch

pytest.importorskip("coremltools", reason="coremltools folds the constants")

import coremltools
from coremltools.converters.mil.mil import Builder, Function

from exporters.coreml.runtime.ops import OPERATORS

OPSET = 17
REAL, POSITIVE, SHARE, WHOLE, TRUTH = "real", "positive", "share", "whole", "truth"
ONE_OPERAND = {
    REAL: (
        "abs", "atan", "ceil", "cos", "cosh", "erf", "exp", "exp2", "floor", "identity", "relu", "relu6", "round", "sigmoid",
        "sign", "sin", "sinh", "softplus", "softsign", "square", "tan", "tanh", "shape", "non_zero", "reduce_argmax",
        "reduce_argmin", "reduce_l1_norm", "reduce_l2_norm", "reduce_log_sum_exp", "reduce_max", "reduce_mean", "reduce_min",
        "reduce_prod", "reduce_sum", "reduce_sum_square", "softmax",
    ),
    POSITIVE: ("inverse", "log", "rsqrt", "sqrt", "reduce_log_sum"),
    SHARE: ("acos", "asin", "atanh"),
    TRUTH: ("logical_not",),
}  # fmt: skip
TWO_OPERANDS = {
    REAL: (
        "add", "equal", "floor_div", "greater", "greater_equal", "less", "less_equal", "maximum", "minimum", "mod",
        "mul", "not_equal", "real_div", "sub",
    ),
    POSITIVE: ("pow",),
    WHOLE: ("add", "floor_div", "maximum", "minimum", "mod", "mul", "sub", "equal", "less"),
    TRUTH: ("logical_and", "logical_or", "logical_xor"),
}  # fmt: skip
WITH_SETTINGS = (
    ("band_part", {"x": REAL}, {"lower": 1, "upper": 0}),
    ("cast", {"x": REAL}, {"dtype": "int32"}),
    ("cast", {"x": REAL}, {"dtype": "bool"}),
    ("clamped_relu", {"x": REAL}, {"alpha": 0.3, "beta": 0.8}),
    ("clip", {"x": REAL}, {"alpha": -0.5, "beta": 0.7}),
    ("concat", {"values": (REAL, REAL)}, {"axis": -1}),
    ("cumsum", {"x": REAL}, {"axis": 1}),
    ("elu", {"x": REAL}, {"alpha": 0.7}),
    ("expand_dims", {"x": REAL}, {"axes": [0, -1]}),
    ("fill", {}, {"shape": [2, 3], "value": 1.5}),
    ("gather", {"x": REAL}, {"indices": [[2, 0], [1, -1]], "axis": 1}),
    ("gather_along_axis", {"x": REAL}, {"indices": [[[1] * 4] * 3] * 3, "axis": 0}),
    ("matmul", {"x": REAL, "y": REAL}, {"transpose_y": True}),
    ("leaky_relu", {"x": REAL}, {"alpha": 0.2}),
    ("linear_activation", {"x": REAL}, {"alpha": 0.2, "beta": -1.0}),
    ("pad", {"x": REAL}, {"pad": [1, 2, 0, 1], "mode": "reflect"}),
    ("prelu", {"x": REAL}, {"alpha": [0.3, 0.3, 0.3]}),
    ("range_1d", {}, {"start": 2, "end": 11, "step": 3}),
    ("reduce_argmax", {"x": REAL}, {"axis": 0, "keep_dims": True}),
    ("reduce_max", {"x": REAL}, {"axes": [0, 2], "keep_dims": True}),
    ("reduce_sum", {"x": WHOLE}, {"axes": [1], "keep_dims": False}),
    ("reshape", {"x": REAL}, {"shape": [-1, 6]}),
    ("reverse", {"x": REAL}, {"axes": [0, 2]}),
    ("scaled_tanh", {"x": REAL}, {"alpha": 0.6, "beta": 1.5}),
    ("select", {"cond": TRUTH, "a": REAL, "b": REAL}, {}),
    ("sigmoid_hard", {"x": REAL}, {"alpha": 0.3, "beta": 0.4}),
    ("slice_by_index", {"x": REAL}, {"begin": [1, -1, 0], "end": [0, 0, 3], "stride": [1, -1, 2],
                                    "squeeze_mask": [True, False, False]}),
    ("slice_by_size", {"x": REAL}, {"begin": [0, 1, 2], "size": [-1, 2, 1]}),
    ("softmax", {"x": REAL}, {"axis": 0}),
    ("split", {"x": REAL}, {"split_sizes": [1, 3], "axis": 2}),
    ("squeeze", {}, {"x": [[[1.5], [2.5]]], "axes": [0, 2]}),
    ("stack", {"values": (REAL, REAL)}, {"axis": 1}),
    ("threshold", {"x": REAL}, {"alpha": 0.1}),
    ("thresholded_relu", {"x": REAL}, {"alpha": 0.4}),
    ("tile", {"x": REAL}, {"reps": [2, 1, 3]}),
    ("topk", {"x": REAL}, {"k": 2, "axis": 1, "ascending": True}),
    ("transpose", {"x": REAL}, {"perm": [2, 0, 1]}),
)  # fmt: skip
CASES = (
    *((name, {"x": kind}, {}) for kind, names in ONE_OPERAND.items() for name in names),
    *((name, {"x": kind, "y": kind}, {}) for kind, names in TWO_OPERANDS.items() for name in names),
    *WITH_SETTINGS,
)


def drawn(rng, kind):
    """Numbers of a kind, (3, 3, 4); several for several kinds."""
    if isinstance(kind, tuple):
        return [drawn(rng, one) for one in kind]
    shape = (3, 3, 4)
    return {
        REAL: lambda: rng.normal(size=shape).astype(np.float32),
        POSITIVE: lambda: rng.uniform(0.1, 3, shape).astype(np.float32),
        SHARE: lambda: rng.uniform(-0.9, 0.9, shape).astype(np.float32),
        WHOLE: lambda: (rng.integers(1, 9, shape) * rng.choice((-1, 1), shape)).astype(np.int32),
        TRUTH: lambda: rng.random(shape) < 0.5,
    }[kind]()


def setting(value):
    """As coremltools takes it: a list as an array of float32, int32 or bool."""
    if not isinstance(value, list):
        return value
    array = np.asarray(value)
    return array.astype({"f": np.float32, "i": np.int32, "b": np.bool_}[array.dtype.kind])


def held(value):
    if isinstance(value, str):
        return value
    return tuple(map(held, value)) if isinstance(value, list) else torch.as_tensor(value)


def folded(name, operands):
    with Function({}, opset_version=getattr(coremltools.target, f"iOS{OPSET}")):
        found = getattr(Builder, name)(**operands)
    return [one.val for one in (found if isinstance(found, (tuple, list)) else (found,))]


@pytest.mark.parametrize("turn", range(2))
@pytest.mark.parametrize(("name", "kinds", "settings"), CASES, ids=[f"{case[0]}-{i}" for i, case in enumerate(CASES)])
def test_an_operator_gives_what_coremltools_folds_the_same_constants_to(name, kinds, settings, turn):
    rng = np.random.default_rng(zlib.crc32(f"{name} {kinds} {turn}".encode()))
    operands = {parameter: drawn(rng, kind) for parameter, kind in kinds.items()}
    operands |= {parameter: setting(value) for parameter, value in settings.items()}
    expected = folded(name, operands)
    own = {"opset": OPSET} if OPERATORS[name].wants_opset else {}
    found = OPERATORS[name].compute(**{parameter: held(value) for parameter, value in operands.items()}, **own)
    assert all(each is not None for each in expected), "coremltools does not fold this one"
    for one, each in zip(found if isinstance(found, tuple) else (found,), expected, strict=True):
        assert np.asarray(one).dtype.kind == np.asarray(each).dtype.kind
        np.testing.assert_allclose(np.asarray(one), each, rtol=1e-5, atol=1e-6)
