"""Every operator that the runtime knows, one small function each, one file to a family."""

from __future__ import annotations

from exporters.coreml.runtime.ops import (
    activation,
    attention,
    boxes,
    classifier,
    constexpr,
    convolution,
    elementwise,
    image_resizing,
    linear,
    lists,
    normalization,
    pool,
    quantization,
    random,
    rearranging,
    recurrent,
    reduction,
    sampling,
    scatter_gather,
    shape,
    slicing,
    sorting,
    states,
    values,
)
from exporters.coreml.runtime.ops.table import Operator

OPERATORS: dict[str, Operator] = (
    activation.TABLE
    | attention.TABLE
    | boxes.TABLE
    | classifier.TABLE
    | constexpr.TABLE
    | convolution.TABLE
    | elementwise.TABLE
    | image_resizing.TABLE
    | linear.TABLE
    | lists.TABLE
    | normalization.TABLE
    | pool.TABLE
    | quantization.TABLE
    | random.TABLE
    | rearranging.TABLE
    | recurrent.TABLE
    | reduction.TABLE
    | sampling.TABLE
    | scatter_gather.TABLE
    | shape.TABLE
    | slicing.TABLE
    | sorting.TABLE
    | states.TABLE
    | values.TABLE
)

PAIRWISE = frozenset(elementwise.TABLE.keys() | activation.TABLE.keys() | normalization.TABLE.keys() | {"select"})
"""Operators that combine values at equal places, broadcasting: a result is no larger than the longest axes of all operands."""
