"""Every operator that the runtime knows, one small function each, one file to a family."""

from __future__ import annotations

from exporters.coreml.runtime.ops import (
    activation,
    convolution,
    elementwise,
    linear,
    normalization,
    pool,
    reduction,
    shape,
    values,
)
from exporters.coreml.runtime.ops.table import Operator

OPERATORS: dict[str, Operator] = (
    activation.TABLE
    | convolution.TABLE
    | elementwise.TABLE
    | linear.TABLE
    | normalization.TABLE
    | pool.TABLE
    | reduction.TABLE
    | shape.TABLE
    | values.TABLE
)
