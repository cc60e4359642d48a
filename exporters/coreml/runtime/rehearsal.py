"""Refuses an operator whose result would be huge before it allocates anything: a small file can ask for one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from edge.errors import BadArtifactError
from exporters.coreml.runtime.constants import LARGEST_TENSOR_BYTES
from exporters.coreml.runtime.features import State
from exporters.coreml.runtime.ops import PAIRWISE
from exporters.coreml.runtime.ops.sizes import WIDEST_BYTES, most_values
from exporters.coreml.runtime.ops.table import Operator, Value

LARGEST_SETTING = 1024
"""Integer tensors up to this size may be shapes or axes: a rehearsal keeps their values."""


def refuse_huge(kind: str, operator: Operator, operands: Mapping[str, Value]) -> None:
    """Go through the operator on shapes alone, unless its operands exclude a huge result. Raises `BadArtifactError`.

    An operator whose result depends on values cannot be rehearsed; its result is no larger than its inputs.
    """
    if is_surely_small(kind, operands):
        return
    try:
        found = operator.compute(**{name: _shape_only(value) for name, value in operands.items()})
    except Exception:  # no rehearsal for this one; a real fault shows when it runs
        found = ()
    for value in found if isinstance(found, tuple) else (found,):
        if isinstance(value, Tensor) and value.numel() * value.itemsize > LARGEST_TENSOR_BYTES:
            raise BadArtifactError(
                f"it would make a tensor of shape {tuple(value.shape)}", hint="do not trust this file"
            )


def is_surely_small(kind: str, operands: Mapping[str, Value]) -> bool:
    """Whether the operands alone exclude a huge result, which costs nothing to see."""
    try:
        return most_values(kind, operands, PAIRWISE) * WIDEST_BYTES <= LARGEST_TENSOR_BYTES
    except Exception:  # operands that do not fit their operator: it says so itself
        return False


def key(value: Value) -> Any:
    """What of an operand a rehearsal depends on: its shape, and the values of a setting."""
    if isinstance(value, Tensor):
        return value.tolist() if _is_setting(value) else value.shape
    return tuple(key(one) for one in value) if isinstance(value, tuple) else None


def _shape_only(value: Value) -> Value:
    if isinstance(value, State):
        return State(value.value.to("meta"))
    if isinstance(value, Tensor):
        return value if _is_setting(value) else value.to("meta")
    return tuple(_shape_only(one) for one in value) if isinstance(value, tuple) else value


def _is_setting(value: Tensor) -> bool:
    return value.dim() == 0 or (value.dim() == 1 and not value.is_floating_point() and len(value) <= LARGEST_SETTING)
