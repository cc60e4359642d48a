"""Writes fused attention as two products around a softmax: its own lowering ends in N×N tests that nobody delegates."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from edge.errors import ConversionError
from edge.passes._graph import Site, replace_calls, value

aten = torch.ops.aten

MASKED = -30000.0
"""Added to a logit that may not be attended to: e^-30000 is zero in every precision, and float16 can hold the number."""


def explicit_attention(graph_module: GraphModule) -> GraphModule:
    """Replace every `scaled_dot_product_attention`. Raises `ConversionError` for one that drops out at random."""
    return replace_calls(graph_module, {aten.scaled_dot_product_attention.default}, _attend)


def _attend(
    at: Site,
    q: Node,
    k: Node,
    v: Node,
    mask: Node | None,
    dropout: float,
    causal: bool,
    scale: float | None,
    _gqa: bool,
) -> Node:
    if dropout > 0:
        raise ConversionError(
            f"attention {at.node} drops {dropout:.0%} of its weights at random, at inference too",
            hint="pass dropout_p=0.0 to scaled_dot_product_attention unless self.training",
        )
    *heads, queries, width = value(q).shape
    grouped = [*value(k).shape[:-2], -1]  # queries of the heads that share one key head stand below one another
    shared = heads != list(value(k).shape[:-2])
    keys = value(k).shape[-2]

    q = at.call(aten.mul.Tensor, q, width**-0.5 if scale is None else scale)
    q = at.call(aten.reshape.default, q, [*grouped, width]) if shared else q
    logits = at.call(aten.matmul.default, q, at.call(aten.transpose.int, k, -2, -1))
    logits = at.call(aten.reshape.default, logits, [*heads, queries, keys]) if shared else logits
    weights = _masked_softmax(at, logits, _causal_mask(at, queries, keys) if causal else mask)
    weights = at.call(aten.reshape.default, weights, [*grouped, keys]) if shared else weights
    attended = at.call(aten.matmul.default, weights, v)
    return at.call(aten.reshape.default, attended, at.shape) if shared else attended


def _masked_softmax(at: Site, logits: Node, mask: Node | None) -> Node:
    if mask is None:
        return at.call(aten.softmax.int, logits, -1)
    if value(mask).dtype != torch.bool:
        return at.call(aten.softmax.int, at.call(aten.add.Tensor, logits, mask), -1)
    allowed = _as_float(at, mask, logits)
    penalty = at.call(aten.mul.Tensor, at.call(aten.sub.Tensor, allowed, 1.0), -MASKED)
    weights = at.call(aten.softmax.int, at.call(aten.add.Tensor, logits, penalty), -1)
    return at.call(aten.mul.Tensor, weights, allowed)  # a query that may look nowhere gets zeros, not an average


def _as_float(at: Site, mask: Node, like: Node) -> Node:
    fixed = at.weight(mask)
    dtype = value(like).dtype
    return at.call(aten._to_copy.default, mask, dtype=dtype) if fixed is None else at.constant(fixed.to(dtype))


def _causal_mask(at: Site, queries: int, keys: int) -> Node:
    """What `is_causal` stands for, as numbers to add: each query sees the keys up to its own index, so at least one."""
    later = torch.ones(queries, keys, dtype=value(at.node).dtype).triu(diagonal=1)
    return at.constant(later * MASKED)
