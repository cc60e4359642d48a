"""Writes Fourier transforms of pictures as products with cosine and sine tables: phones know no complex numbers.

A complex tensor lives in the graph as the pair of its real and imaginary parts, from the transform to its inverse.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from edge.errors import ConversionError
from edge.passes._graph import Site, arguments, forget_unused, put, value

aten = torch.ops.aten

Pair = tuple[Node, Node]
"""The real and the imaginary part of one complex tensor."""

_FORWARD_EXPONENT = {None: 0.0, "backward": 0.0, "ortho": 0.5, "forward": 1.0}
"""The forward transform divides by the number of pixels to this power, the inverse by what is missing to the first."""


def fft_to_matmul(graph_module: GraphModule) -> GraphModule:
    """Replace `rfft2`, `irfft2` and the complex arithmetic between them by real operators.

    Raises `ConversionError` for any other complex operator, which Core ML, LiteRT and ExecuTorch refuse too.
    """
    pairs: dict[Node, Pair] = {}
    for node in list(graph_module.graph.nodes):
        if not (_is_complex(node) or any(source in pairs for source in node.all_input_nodes)):
            continue
        with graph_module.graph.inserting_before(node):
            result = _real_form(Site(graph_module, node), pairs)
        if isinstance(result, tuple):
            pairs[node] = result
        else:
            put(node, result)
    if pairs:
        forget_unused(graph_module)
    return graph_module


def _is_complex(node: Node) -> bool:
    given = node.meta.get("val")
    return isinstance(given, Tensor) and given.is_complex()


def _real_form(at: Site, pairs: dict[Node, Pair]) -> Pair | Node:
    fixed = at.weight(at.node)
    if fixed is not None:
        return at.constant(fixed.real.contiguous()), at.constant(fixed.imag.contiguous())
    if at.node.op != "call_function" or at.node.target not in _REAL_FORMS:
        raise ConversionError(
            f"complex numbers reach {at.node}, which Core ML, LiteRT and ExecuTorch cannot compute",
            hint="between rfft2 and irfft2 only sums, products, slices and changes of shape can be converted",
        )
    first, *rest = (pairs.get(given, given) if isinstance(given, Node) else given for given in arguments(at.node))
    return _REAL_FORMS[at.node.target](at, first, *rest)


def _forward(at: Site, x: Node, size: list[int] | None, dims: list[int], norm: str | None) -> Pair:
    order, back = _last(at, dims)
    picture = at.call(aten.permute.default, x, order)
    height, width = value(picture).shape[-2:]
    _must_be_whole(at, size is None or list(size) == [height, width])
    half, factor = width // 2 + 1, (height * width) ** -_FORWARD_EXPONENT[norm]
    cosine, sine = (_table(wave, width, value(x))[:, :half] * factor for wave in (torch.cos, torch.sin))
    real, imaginary = _rotated(at, _product(at, picture, cosine), _product(at, picture, -sine), 1)
    return at.call(aten.permute.default, real, back), at.call(aten.permute.default, imaginary, back)


def _inverse(at: Site, spectrum: Pair, _size: list[int] | None, dims: list[int], norm: str | None) -> Node:
    order, back = _last(at, dims)
    real, imaginary = (at.call(aten.permute.default, part, order) for part in spectrum)
    height, half = value(real).shape[-2:]
    width = at.shape[order[-1]]
    _must_be_whole(at, at.shape[order[-2]] == height and width // 2 + 1 == half)
    weights = torch.full((half, 1), 2 * (height * width) ** (_FORWARD_EXPONENT[norm] - 1), dtype=value(real).dtype)
    weights[0] /= 2  # a bin that is its own mirror image counts once
    weights[width // 2 :] /= 1 + (width % 2 == 0)
    cosine, sine = (_table(wave, width, value(real))[:half] * weights for wave in (torch.cos, torch.sin))
    real, imaginary = _rotated(at, real, imaginary, -1)
    picture = at.call(aten.sub.Tensor, _product(at, real, cosine), _product(at, imaginary, sine))
    return at.call(aten.permute.default, picture, back)


def _last(at: Site, dims: list[int]) -> tuple[list[int], list[int]]:
    """The permutation that moves `dims` to the end, and the one that moves them back."""
    rank = len(at.shape)
    moved = [dim % rank for dim in dims]
    order = [dim for dim in range(rank) if dim not in moved] + moved
    return order, [order.index(dim) for dim in range(rank)]


def _must_be_whole(at: Site, whole: bool) -> None:
    if not whole:
        raise ConversionError(
            f"the Fourier transform {at.node} crops or pads",
            hint="give rfft2 no size, and irfft2 the size of the picture that rfft2 was given",
        )


def _rotated(at: Site, real: Node, imaginary: Node, sign: int) -> Pair:
    """The complex transform of the columns; `sign` is -1 for its inverse."""
    like = value(real)
    cosine, sine = (_table(wave, like.shape[-2], like) for wave in (torch.cos, torch.sin))
    columns = [at.call(aten.transpose.int, part, -1, -2) for part in (real, imaginary)]
    cos_real, cos_imaginary = (_product(at, part, cosine) for part in columns)
    sin_real, sin_imaginary = (_product(at, part, sine * sign) for part in columns)
    rotated_real = at.call(aten.add.Tensor, cos_real, sin_imaginary)
    rotated_imaginary = at.call(aten.sub.Tensor, cos_imaginary, sin_real)
    return at.call(aten.transpose.int, rotated_real, -1, -2), at.call(aten.transpose.int, rotated_imaginary, -1, -2)


def _table(wave: Callable[[Tensor], Tensor], length: int, like: Tensor) -> Tensor:
    """`wave` at every product of two indices: symmetric, (length, length); rounded once, from float64."""
    turns = torch.outer(torch.arange(length), torch.arange(length)) % length
    return wave(turns.double() * (2 * math.pi / length)).to(like.dtype)


def _product(at: Site, x: Node, table: Tensor) -> Node:
    return at.call(aten.linear.default, x, at.constant(table.T.contiguous()))


def _multiply(at: Site, left: Pair | Node, right: Pair | Node | float) -> Pair:
    if not isinstance(left, tuple):
        return _multiply(at, right, left)  # type: ignore[arg-type]
    if not isinstance(right, tuple):
        return at.call(aten.mul.Tensor, left[0], right), at.call(aten.mul.Tensor, left[1], right)
    real_real, imaginary_imaginary, real_imaginary, imaginary_real = (
        at.call(aten.mul.Tensor, left[one], right[other]) for one, other in ((0, 0), (1, 1), (0, 1), (1, 0))
    )
    real = at.call(aten.sub.Tensor, real_real, imaginary_imaginary)
    return real, at.call(aten.add.Tensor, real_imaginary, imaginary_real)


def _sum(at: Site, left: Pair | Node, right: Pair | Node, alpha: float) -> Pair:
    if alpha != 1 or not isinstance(left, tuple) or not isinstance(right, tuple):
        raise ConversionError(f"{at.node} adds a complex tensor to a real one, or a multiple of one")
    real, imaginary = (at.call(at.node.target, *parts) for parts in zip(left, right, strict=True))  # type: ignore[arg-type]
    return real, imaginary


def _on_both(at: Site, spectrum: Pair, *_rest: Any) -> Pair:
    """The same call on the real part and on the imaginary part."""
    options = at.node.args[1:]
    real, imaginary = (at.call(at.node.target, part, *options, **at.node.kwargs) for part in spectrum)  # type: ignore[arg-type]
    return real, imaginary


def _as_real(at: Site, spectrum: Pair) -> Node:
    return at.call(aten.stack.default, list(spectrum), -1)


def _as_complex(at: Site, parts: Node) -> Pair:
    real, imaginary = (at.call(aten.slice.Tensor, parts, -1, part, part + 1) for part in (0, 1))
    return at.call(aten.reshape.default, real, at.shape), at.call(aten.reshape.default, imaginary, at.shape)


_REAL_FORMS: dict[Any, Callable[..., Pair | Node]] = {
    aten.fft_rfft2.default: _forward,
    aten.fft_irfft2.default: _inverse,
    aten.mul.Tensor: _multiply,
    aten.add.Tensor: _sum,
    aten.sub.Tensor: _sum,
    aten.view_as_real.default: _as_real,
    aten.view_as_complex.default: _as_complex,
    aten.real.default: lambda _at, spectrum: spectrum[0],
    aten.imag.default: lambda _at, spectrum: spectrum[1],
    aten.complex.default: lambda _at, real, imaginary: (real, imaginary),
} | dict.fromkeys(
    (
        aten.neg.default, aten.alias.default, aten.reshape.default, aten.view.default, aten.flatten.using_ints,
        aten.permute.default, aten.transpose.int, aten.slice.Tensor, aten.unsqueeze.default, aten.contiguous.default,
    ),
    _on_both,
)  # fmt: skip
