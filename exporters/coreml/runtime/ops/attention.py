"""Attention as one operator."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from exporters.coreml.runtime.ops.table import Table, family

TABLE: Table = {}
operator = family(TABLE)


@operator("scaled_dot_product_attention")
def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """softmax(Q Kᵀ / √E + mask) V; a mask of truths lets an element take part where it holds."""
    return F.scaled_dot_product_attention(query, key, value, attn_mask)
