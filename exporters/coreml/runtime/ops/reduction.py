"""Reductions over some axes, all of them by default."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from exporters.coreml.runtime.ops.table import Table, Value, family, flag, integer, integers

TABLE: Table = {}
operator = family(TABLE)
Reduce = Callable[[Tensor, list[int], bool], Tensor]


def _prod(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = torch.prod(x, axis, keepdim=keep)
    return x


REDUCTIONS: dict[str, Reduce] = {
    "reduce_sum": torch.sum,
    "reduce_mean": torch.mean,
    "reduce_max": torch.amax,
    "reduce_min": torch.amin,
    "reduce_prod": _prod,
    "reduce_l1_norm": lambda x, axes, keep: torch.sum(torch.abs(x), axes, keep),
    "reduce_l2_norm": lambda x, axes, keep: torch.sqrt(torch.sum(torch.square(x), axes, keep)),
    "reduce_sum_square": lambda x, axes, keep: torch.sum(torch.square(x), axes, keep),
    "reduce_log_sum": lambda x, axes, keep: torch.log(torch.sum(x, axes, keep)),
    "reduce_log_sum_exp": torch.logsumexp,
}


def _over_axes(reduce: Reduce) -> Callable[..., Value]:
    """The operator of a reduction; integers are reduced in double precision and cut towards zero."""

    def apply(x: Tensor, axes: Tensor | None = None, keep_dims: Tensor | bool = False) -> Tensor:
        named = integers(axes) if axes is not None else []
        over = named or list(range(x.dim()))
        if x.is_floating_point():
            return reduce(x, over, flag(keep_dims))
        return reduce(x.double(), over, flag(keep_dims)).to(x.dtype)

    return apply


for _name, _reduce in REDUCTIONS.items():
    operator(_name)(_over_axes(_reduce))


@operator("reduce_argmax")
def reduce_argmax(
    x: Tensor,
    axis: Tensor = torch.tensor(-1),
    keep_dims: Tensor | bool = False,
    output_dtype: str = "int32",  # noqa: ARG001 (the declared output says it already)
) -> Tensor:
    """Where the largest value stands along one axis."""
    return torch.argmax(x, integer(axis), keepdim=flag(keep_dims))


@operator("reduce_argmin")
def reduce_argmin(
    x: Tensor,
    axis: Tensor = torch.tensor(-1),
    keep_dims: Tensor | bool = False,
    output_dtype: str = "int32",  # noqa: ARG001 (the declared output says it already)
) -> Tensor:
    """See `reduce_argmax`."""
    return torch.argmin(x, integer(axis), keepdim=flag(keep_dims))
