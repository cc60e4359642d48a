"""Tensors that live from one prediction to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from exporters.coreml.runtime.ops.table import Table, family

if TYPE_CHECKING:
    from exporters.coreml.runtime.features import State

TABLE: Table = {}
operator = family(TABLE)


@operator("read_state")
def read_state(input: State) -> Tensor:
    """A copy: what is written later does not change it."""
    return input.value.clone()


@operator("write_state")
def write_state(input: State, data: Tensor) -> tuple[()]:
    """In place, so a rehearsal, whose tensors hold no numbers, fails here and leaves the state as it is."""
    if data.shape != input.value.shape:
        raise ValueError(f"a state of shape {tuple(input.value.shape)} is given {tuple(data.shape)}")
    input.value.copy_(data)
    return ()
