"""Pictures read at points between their cells: crops of boxes, transforms, free coordinates."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from exporters.coreml.runtime.ops.image_resizing import points
from exporters.coreml.runtime.ops.sizes import affordable
from exporters.coreml.runtime.ops.table import Table, family, flag, integer, number

TABLE: Table = {}
operator = family(TABLE)
ONE = torch.tensor(1)
UNSCALED = torch.tensor(1.0)
ZERO = torch.tensor(0.0)
Border = Callable[[Tensor, int], Tensor]


def _mirror(at: Tensor, size: int) -> Tensor:
    """Back and forth between the middles of the first and the last cell."""
    period = max(2 * (size - 1), 1)
    back = at.remainder(period)
    return torch.minimum(back, period - back).clamp(max=size - 1)


def _mirror_edges(at: Tensor, size: int) -> Tensor:
    """Back and forth between the outer edges of the first and the last cell."""
    back = (at + 0.5).remainder(2 * size)
    return (torch.minimum(back, 2 * size - back) - 0.5).clamp(0, size - 1)


BORDERS: dict[str, Border] = {
    "constant": lambda at, size: at.clamp(0, size - 1),
    "border": lambda at, size: at.clamp(0, size - 1),
    "reflection": _mirror,
    "symmetric": _mirror_edges,
}


def _read(x: Tensor, picture: Tensor, column: Tensor, row: Tensor, padding: str, value: float) -> Tensor:
    """x (B, C, H, W) at whole positions (N, h, w) of the pictures (N, 1, 1), beyond them as `padding` says: (N, C, h, w)."""
    height, width = x.shape[-2:]
    border = BORDERS[padding]
    found = x[picture, :, border(row, height).long(), border(column, width).long()].movedim(-1, 1)
    if padding != "constant":
        return found
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    return torch.where(inside[:, None], found, value)


def _between(x: Tensor, picture: Tensor, column: Tensor, row: Tensor, padding: str, value: float) -> Tensor:
    """Bilinear: the four cells around each point, those beyond the picture as `padding` says."""
    left, top = column.floor(), row.floor()
    right_share, low_share = (column - left).to(x.dtype)[:, None], (row - top).to(x.dtype)[:, None]

    def across(line: Tensor) -> Tensor:
        west, east = (_read(x, picture, place, line, padding, value) for place in (left, left + 1))
        return torch.lerp(west, east, right_share)

    return torch.lerp(across(top), across(top + 1), low_share)


def _nearest(x: Tensor, picture: Tensor, column: Tensor, row: Tensor, padding: str, value: float) -> Tensor:
    """A point beyond the picture is mirrored first and rounded then, half to even."""
    if padding != "constant":
        column, row = BORDERS[padding](column, x.shape[-1]), BORDERS[padding](row, x.shape[-2])
    return _read(x, picture, column.round(), row.round(), padding, value)


SAMPLERS = {"bilinear": _between, "nearest": _nearest}


def _positions(at: Tensor, size: int, mode: str, align_corners: bool) -> Tensor:
    """Coordinates as positions of cells; aligned corners are the middles of the outer cells, otherwise their edges."""
    if mode == "unnormalized":
        return at
    share = {"normalized_minus_one_to_one": (at + 1) / 2, "normalized_zero_to_one": at}[mode]
    return share * (size - 1) if align_corners else share * size - 0.5


@operator("resample")
def resample(
    x: Tensor,
    coordinates: Tensor,
    sampling_mode: str,
    padding_mode: str,
    padding_value: Tensor,
    coordinates_mode: str,
    align_corners: Tensor | bool,
) -> Tensor:
    """x (B, C, H, W) at `coordinates` (B, H', W', 2), each a column and a row."""
    columns, rows = coordinates.to(x.device).float().unbind(-1)
    aligned = flag(align_corners)
    column = _positions(columns, x.shape[-1], coordinates_mode, aligned)
    row = _positions(rows, x.shape[-2], coordinates_mode, aligned)
    pictures = torch.arange(len(x), device=x.device)[:, None, None]
    return SAMPLERS[sampling_mode](x, pictures, column, row, padding_mode, number(padding_value))


@operator("affine")
def affine(
    x: Tensor,
    transform_matrix: Tensor,
    output_height: Tensor,
    output_width: Tensor,
    sampling_mode: str,
    padding_mode: str,
    padding_value: Tensor,
    coordinates_mode: str,
    align_corners: Tensor | bool,
) -> Tensor:
    """`transform_matrix` (B or 1, 6) takes the new picture's corners (-1 to 1) to coordinates of the old one."""
    affordable((*x.shape[:2], integer(output_height), integer(output_width)))
    across = torch.linspace(-1, 1, integer(output_width), device=x.device)
    down = torch.linspace(-1, 1, integer(output_height), device=x.device)[:, None]
    matrix = transform_matrix.to(x.device).expand(len(x), -1)[:, :, None, None].unbind(1)
    column, row = (a * across + b * down + c for a, b, c in (matrix[:3], matrix[3:]))
    return resample(
        x, torch.stack((column, row), -1), sampling_mode, padding_mode, padding_value, coordinates_mode, align_corners
    )


@operator("crop_resize")
def crop_resize(
    x: Tensor,
    roi: Tensor | None = None,
    boxes: Tensor | None = None,
    box_indices: Tensor | None = None,
    target_height: Tensor = ONE,
    target_width: Tensor = ONE,
    normalized_coordinates: Tensor | bool = False,
    spatial_scale: Tensor = UNSCALED,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
    pad_value: Tensor = ZERO,
    opset: int = 15,
) -> Tensor:
    """x (B, C, H, W). Up to iOS 16, roi (N, 1, 4, 1, 1) crops every picture, (N, 1, 5, 1, 1) the one it names first.

    iOS 17 has boxes (N, 4) and `box_indices` for that. iOS 15 clamps points to the picture, later ones give `pad_value`.
    """
    given = roi.flatten(1) if roi is not None else boxes
    if given is None:
        raise ValueError("neither roi nor boxes is given")
    affordable((len(given), *x.shape[:2], integer(target_height), integer(target_width)))
    every = roi is not None and given.shape[1] == 4
    if box_indices is None:
        box_indices = given[:, 0] if given.shape[1] == 5 else torch.arange(len(given), device=given.device)
    corners = _corners(given[:, -4:].to(x.device).float() * spatial_scale, box_coordinate_mode)
    limits = torch.tensor([size - 1 for size in x.shape[-2:]], device=x.device)
    first, last = (each * limits if flag(normalized_coordinates) else each for each in corners)
    row = points(first[:, :1], last[:, :1], integer(target_height), sampling_mode)[:, :, None]
    column = points(first[:, 1:], last[:, 1:], integer(target_width), sampling_mode)[:, None, :]
    clamps = opset == 15
    if every:
        singles = [torch.full((1, 1, 1), place, device=x.device) for place in range(len(x))]
        return torch.stack([_cropped(x, single, column, row, pad_value, clamps=clamps) for single in singles], 1)
    found = _cropped(x, box_indices.to(x.device).long()[:, None, None], column, row, pad_value, clamps=clamps)
    return found if roi is None else found[:, None]


def _corners(boxes: Tensor, mode: str) -> tuple[Tensor, Tensor]:
    """First and last corner, each (N, 2) as row and column."""
    left, right = boxes[:, :2], boxes[:, 2:]
    if mode.endswith("WIDTH_FIRST"):
        left, right = left.flip(1), right.flip(1)
    if mode.startswith("CORNERS"):
        return left, right
    return left - right / 2, left + right / 2


def _cropped(x: Tensor, picture: Tensor, column: Tensor, row: Tensor, pad_value: Tensor, *, clamps: bool) -> Tensor:
    """A point beyond the picture gives `pad_value` whole, not a mixture with the cell beside it, unless it clamps."""
    height, width = x.shape[-2:]
    column, row = torch.broadcast_tensors(column, row)
    found = _between(x, picture, column, row, "border", 0.0)
    if clamps:
        return found
    inside = (row >= 0) & (row <= height - 1) & (column >= 0) & (column <= width - 1)
    return torch.where(inside[:, None], found, pad_value)
