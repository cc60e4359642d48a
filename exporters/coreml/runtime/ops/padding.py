"""The borders that convolutions and pools add around a picture."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from exporters.coreml.runtime.ops.table import integers


def border(
    sizes: Sequence[int], window: Sequence[int], stride: Sequence[int], pad_type: str, pad: Tensor | None
) -> tuple[list[int], list[int]]:
    """Cells added before and after each axis of `sizes`.

    `same` keeps ceil(size / stride) cells and gives the odd one to the end, `same_lower` to the beginning; `pad` holds
    begin and end of each axis in turn and counts only for `custom`.
    """
    if pad_type == "custom":
        given = integers(pad) if pad is not None else [0] * (2 * len(sizes))
        return given[0::2], given[1::2]
    if pad_type == "valid":
        return [0] * len(sizes), [0] * len(sizes)
    totals = [
        max((-(-size // step) - 1) * step + extent - size, 0)
        for size, extent, step in zip(sizes, window, stride, strict=True)
    ]
    halves, rest = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return {"same": (halves, rest), "same_lower": (rest, halves)}[pad_type]


def pad_trailing(x: Tensor, begins: Sequence[int], ends: Sequence[int], value: float) -> Tensor:
    """`x` with `value` before and after its trailing axes; torch counts axes from the last."""
    pairs = [size for pair in zip(reversed(begins), reversed(ends), strict=True) for size in pair]
    return F.pad(x, pairs, value=value)
