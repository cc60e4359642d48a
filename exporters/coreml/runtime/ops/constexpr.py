"""Compressed weights: stored small, unpacked before the run.

Two forms share some names. Up to iOS 17 indices and masks are streams of bits with the `shape` beside them, afterwards
they are tensors of a type below a byte.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from exporters.coreml.runtime.datatypes import DATA_TYPES
from exporters.coreml.runtime.ops.sizes import affordable
from exporters.coreml.runtime.ops.table import Table, family, integer, integers
from exporters.coreml.runtime.ops.values import HELD

TABLE: Table = {}
operator = family(TABLE)
PACKED = {data_type.bits: data_type for data_type in DATA_TYPES.values() if data_type.name.startswith("uint")}


@operator("constexpr_cast")
def constexpr_cast(source_val: Tensor, output_dtype: str) -> Tensor:
    return source_val.to(HELD[output_dtype])


@operator("constexpr_affine_dequantize")
def constexpr_affine_dequantize(quantized_data: Tensor, zero_point: Tensor, scale: Tensor, axis: Tensor) -> Tensor:
    """scale · (data - zero point), both one number or one for each place of `axis`."""
    along = integer(axis) % quantized_data.dim()
    shape = [-1 if each == along else 1 for each in range(quantized_data.dim())]
    return scale.reshape(shape) * (quantized_data.float() - zero_point.float().reshape(shape))


@operator("constexpr_blockwise_shift_scale")
def constexpr_blockwise_shift_scale(data: Tensor, scale: Tensor, offset: Tensor | None = None) -> Tensor:
    """scale · (data - offset), one of each for every block; the shapes say how large a block is."""
    blocks, one_each = _blocks(data.shape, scale.shape)
    values = data.float().reshape(blocks)
    if offset is not None:
        values = values - offset.float().reshape(one_each)
    return (scale.reshape(one_each) * values).reshape(data.shape)


def _blocks(shape: torch.Size, counts: torch.Size) -> tuple[list[int], list[int]]:
    """`shape` with each axis in two, blocks and places within, and the shape that one value for each block has."""
    if len(shape) != len(counts):
        raise ValueError(f"blocks {tuple(counts)} of a tensor {tuple(shape)}")
    blocks = [part for size, count in zip(shape, counts, strict=True) for part in (count, size // count)]
    return blocks, [part for count in counts for part in (count, 1)]


@operator("constexpr_lut_to_dense")
def constexpr_lut_to_dense(
    indices: Tensor, lut: Tensor, shape: Tensor | None = None, vector_axis: Tensor | None = None
) -> Tensor:
    """An entry of the look-up table for each index."""
    if shape is None:
        return _looked_up(indices, lut, vector_axis)
    sizes = affordable(integers(shape))
    bits = (len(lut) - 1).bit_length()
    return lut.index_select(0, _unpacked(indices, bits, math.prod(sizes))).reshape(sizes)


def _unpacked(packed: Tensor, bits: int, count: int) -> Tensor:
    """`count` numbers of so many bits each from a tensor of bytes."""
    return PACKED[bits].from_bytes(packed.numpy().tobytes(), count).int()


def _looked_up(indices: Tensor, lut: Tensor, vector_axis: Tensor | None) -> Tensor:
    """lut (a table for each block of indices, entries, numbers in an entry); those numbers lie along `vector_axis`."""
    entries, width = lut.shape[-2:]
    blocks, one_each = _blocks(indices.shape, lut.shape[:-2])
    first = torch.arange(0, lut.numel() // width, entries, dtype=torch.int32, device=lut.device).reshape(one_each)
    places = (indices.to(lut.device).int().reshape(blocks) + first).reshape(-1)
    found = lut.reshape(-1, width).index_select(0, places).reshape(*indices.shape, width)
    if vector_axis is None:
        return found.squeeze(-1)
    along = integer(vector_axis) % indices.dim()
    return found.movedim(-1, along + 1).flatten(along, along + 1)


@operator("constexpr_sparse_to_dense")
def constexpr_sparse_to_dense(nonzero_data: Tensor, mask: Tensor, shape: Tensor | None = None) -> Tensor:
    """The values in order where a bit of the mask is set, zeros elsewhere."""
    if shape is None:
        return _spread(nonzero_data, mask)
    sizes = affordable(integers(shape))
    return _spread(nonzero_data, _unpacked(mask, 1, math.prod(sizes)).reshape(sizes))


def _spread(values: Tensor, mask: Tensor) -> Tensor:
    places = mask.bool()
    if not places.is_meta and int(places.sum()) != values.numel():
        raise ValueError(f"{values.numel()} values for {int(places.sum())} places")
    return values.new_zeros(()).expand(mask.shape).masked_scatter(places.to(values.device), values)


@operator("constexpr_lut_to_sparse")
def constexpr_lut_to_sparse(
    indices_mask: Tensor, indices_nonzero_data: Tensor, lut: Tensor, vector_axis: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The mask and the values that `constexpr_sparse_to_dense` takes, from indices that are there only where it is set."""
    dense = _looked_up(_spread(indices_nonzero_data, indices_mask), lut, vector_axis)
    mask = indices_mask
    if vector_axis is not None:
        mask = mask.repeat_interleave(lut.shape[-1], integer(vector_axis))
    return mask, dense[mask.bool()]


@operator("constexpr_sparse_blockwise_shift_scale")
def constexpr_sparse_blockwise_shift_scale(
    data_mask: Tensor, nonzero_data: Tensor, scale: Tensor, offset: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    dense = constexpr_blockwise_shift_scale(_spread(nonzero_data, data_mask), scale, offset)
    return data_mask, dense[data_mask.bool()]
