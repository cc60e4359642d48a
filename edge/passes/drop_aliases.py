"""Removes calls that hand on what they were given: coremltools 9.0 knows no `alias`, and every call left costs time."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from edge.passes._graph import Site, replace_calls, value
from edge.passes._memory import owner, written_memory

aten = torch.ops.aten

_ALWAYS = {aten.alias.default, aten.detach.default, aten.detach_.default, aten.lift_fresh.default}

_PERHAPS = {
    aten.expand.default, aten.expand_as.default, aten.slice.Tensor, aten.narrow.default, aten.reshape.default,
    aten.view.default, aten.flatten.using_ints, aten.contiguous.default, aten.to.dtype, aten.to.device,
    aten.to.dtype_layout, aten.to.other, aten.type_as.default, aten._to_copy.default, aten.clone.default,
    aten.alias_copy.default, aten.detach_copy.default, aten.lift_fresh_copy.default,
}  # fmt: skip
"""No-ops where shape, type and strides stay, unless it matters that a copy has memory of its own."""

_DROPOUTS = {aten.dropout.default, aten.dropout_.default, aten.feature_dropout.default, aten.alpha_dropout.default}


def drop_aliases(graph_module: GraphModule) -> GraphModule:
    """Replace each call that changes nothing by its input. Dropout stays where it is on at inference."""
    written = written_memory(graph_module)

    def original_if_alike(at: Site, x: Node, *_rest: object) -> Node | None:
        alike = _layout(value(x)) == _layout(value(at.node))
        return x if alike and not {owner(x), owner(at.node)} & written else None

    replace_calls(graph_module, _PERHAPS, original_if_alike)
    replace_calls(graph_module, _ALWAYS, lambda _at, x: x)
    replace_calls(graph_module, {aten.pad.default}, _original_unpadded)
    return replace_calls(graph_module, _DROPOUTS, _original_at_inference)


def _original_unpadded(_at: Site, x: Node, padding: list[int], *_how: object) -> Node | None:
    return None if any(padding) else x


def _original_at_inference(_at: Site, x: Node, rate: float, training: bool) -> Node | None:
    return None if training and rate > 0 else x


def _layout(tensor: Tensor) -> tuple[object, ...]:
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.device
