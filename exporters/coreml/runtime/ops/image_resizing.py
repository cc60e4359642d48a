"""Pictures of another size: the last axes sampled at the points of a regular grid."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from exporters.coreml.runtime.ops.sizes import affordable
from exporters.coreml.runtime.ops.table import Table, family, flag, integer, integers

TABLE: Table = {}
operator = family(TABLE)
ONE = torch.tensor(1)
TORCH_ALIGNS = {"STRICT_ALIGN_CORNERS": True, "UNALIGN_CORNERS": False}
"""Sampling modes that torch has too: both end points are sampled, or cells are spread evenly."""


def points(first: Tensor, last: Tensor, count: int, mode: str) -> Tensor:
    """(N, count) sampling points of the intervals from `first` to `last` (both (N, 1)), none outside its interval.

    The modes are those that coremltools documents under `resize_bilinear`; an interval may run backwards.
    """
    step, span = torch.arange(count, device=first.device), last - first
    if mode == "ALIGN_CORNERS" and count == 1:
        found = first + span / 2
    elif mode in {"ALIGN_CORNERS", "STRICT_ALIGN_CORNERS"}:
        found = first + step * (span / max(count - 1, 1))
    elif mode == "DEFAULT":
        found = first + step * ((span + 1) / count)
    elif mode == "OFFSET_CORNERS":
        found = first + (step + 0.5) * (span.clamp(min=1) / count)
    elif mode == "UNALIGN_CORNERS":
        found = first + (step + 0.5) * ((span + 1) / count) - 0.5
    else:
        raise ValueError(f"sampling mode {mode!r} is unknown")
    return torch.minimum(torch.maximum(found, torch.minimum(first, last)), torch.maximum(first, last))


def _whole(x: Tensor, axis: int, count: int, mode: str) -> Tensor:
    """(count,) sampling points of a whole axis."""
    first = torch.zeros((1, 1), dtype=torch.float64, device=x.device)
    return points(first, first + (x.shape[axis] - 1), count, mode)[0]


def _linear(x: Tensor, axis: int, count: int, mode: str) -> Tensor:
    at = _whole(x, axis, count, mode)
    low = at.floor()
    share = (at - low).to(x.dtype).reshape([-1 if each == axis else 1 for each in range(x.dim())])
    below = x.index_select(axis, low.int())
    above = x.index_select(axis, (low + 1).clamp(max=x.shape[axis] - 1).int())
    return torch.lerp(below, above, share)


def _nearest(x: Tensor, axis: int, count: int, mode: str) -> Tensor:
    """`DEFAULT` takes the cell that the middle of the new one falls in; TensorFlow calls that half pixel centres."""
    at = _whole(x, axis, count, "UNALIGN_CORNERS" if mode == "DEFAULT" else mode)
    return x.index_select(axis, (at + 0.5).floor().clamp(max=x.shape[axis] - 1).int())


def _resized(x: Tensor, sizes: list[int], mode: str, along: Callable[[Tensor, int, int, str], Tensor]) -> Tensor:
    """The last axes brought to `sizes`, one after the other."""
    affordable((*x.shape[: x.dim() - len(sizes)], *sizes))
    for axis, size in enumerate(sizes, x.dim() - len(sizes)):
        if size != x.shape[axis] or mode == "OFFSET_CORNERS":
            x = along(x, axis, size, mode)
    return x


def _by_torch(x: Tensor, sizes: list[int], mode: str, align_corners: bool | None = None) -> Tensor:
    affordable((*x.shape[:-2], *sizes))
    flat = x.reshape(1, -1, *x.shape[-2:])
    return F.interpolate(flat, sizes, mode=mode, align_corners=align_corners).reshape(*x.shape[:-2], *sizes)


def _bilinear(x: Tensor, sizes: list[int], mode: str) -> Tensor:
    if mode in TORCH_ALIGNS:
        return _by_torch(x, sizes, "bilinear", TORCH_ALIGNS[mode])
    return _resized(x, sizes, mode, _linear)


def _scaled(x: Tensor, height: Tensor, width: Tensor) -> list[int]:
    """The picture's size times two factors, rounded down in float32: 10 × 2.6 is 26 only there."""
    return [
        math.floor((factor.float() * size).item()) for factor, size in zip((height, width), x.shape[-2:], strict=True)
    ]


@operator("upsample_nearest_neighbor")
def upsample_nearest_neighbor(x: Tensor, scale_factor_height: Tensor = ONE, scale_factor_width: Tensor = ONE) -> Tensor:
    """The cell that the first corner of the new one falls in."""
    return _by_torch(x, _scaled(x, scale_factor_height, scale_factor_width), "nearest")


@operator("resize_nearest_neighbor")
def resize_nearest_neighbor(x: Tensor, target_size_height: Tensor, target_size_width: Tensor) -> Tensor:
    """The cell that the middle of the new one falls in, unlike `upsample_nearest_neighbor`."""
    return _by_torch(x, [integer(target_size_height), integer(target_size_width)], "nearest-exact")


@operator("upsample_bilinear")
def upsample_bilinear(
    x: Tensor,
    scale_factor_height: Tensor = ONE,
    scale_factor_width: Tensor = ONE,
    align_corners: Tensor | bool = True,
    half_pixel_centers: Tensor | None = None,
) -> Tensor:
    """Half pixel centres are the opposite of aligned corners unless given; with neither, the first point is the corner."""
    half = not flag(align_corners) if half_pixel_centers is None else flag(half_pixel_centers)
    modes = {(True, False): "STRICT_ALIGN_CORNERS", (False, True): "UNALIGN_CORNERS", (False, False): "DEFAULT"}
    return _bilinear(x, _scaled(x, scale_factor_height, scale_factor_width), modes[flag(align_corners), half])


@operator("resize_bilinear")
def resize_bilinear(
    x: Tensor, target_size_height: Tensor = ONE, target_size_width: Tensor = ONE, sampling_mode: str = "DEFAULT"
) -> Tensor:
    return _bilinear(x, [integer(target_size_height), integer(target_size_width)], sampling_mode)


@operator("resize")
def resize(
    x: Tensor, shape: Tensor, resized_dims: Tensor, interpolation_mode: str = "LINEAR", sampling_mode: str = "DEFAULT"
) -> Tensor:
    """The last `resized_dims` axes to the last sizes of `shape`, where 0 keeps one."""
    count = integer(resized_dims)
    if not count:
        return x
    sizes = [size or own for size, own in zip(integers(shape)[-count:], x.shape[-count:], strict=True)]
    along = {"LINEAR": _linear, "NEAREST_NEIGHBOR": _nearest}[interpolation_mode]
    return _resized(x, sizes, sampling_mode, along)
