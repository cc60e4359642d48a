"""Edits a captured graph call by call; what is inserted knows its shape at once, so passes can follow one another."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx import GraphModule, Node

from edge.errors import InternalError

Build = Callable[..., Node | list[Node] | None]
"""Called with a `Site` and the call's arguments in schema order, defaults filled in. Returns what takes the call's
place (a list for an operator with several outputs), or None to leave the call as it is."""


@dataclass(frozen=True, slots=True)
class Site:
    """The place in a graph just before one call."""

    graph_module: GraphModule
    node: Node

    @property
    def shape(self) -> list[int]:
        """The shape that the call gives."""
        return list(value(self.node).shape)

    def call(self, op: OpOverload, *args: Any, **kwargs: Any) -> Node:
        """Insert a call of `op` here. Nodes among the arguments stand for their values."""
        inserted = self.graph_module.graph.call_function(op, args, kwargs)
        fake_args, fake_kwargs = torch.fx.map_arg((args, kwargs), value)
        with torch.no_grad(), _fake(self.node).fake_mode:
            inserted.meta["val"] = op(*fake_args, **fake_kwargs)
        return inserted

    def constant(self, tensor: Tensor) -> Node:
        """Insert `tensor` here, kept once in the module however often it is asked for."""
        name = _home_of(self.graph_module, tensor.detach().contiguous())
        inserted = self.graph_module.graph.get_attr(name)
        inserted.meta["val"] = _fake(self.node).fake_mode.from_tensor(tensor, static_shapes=True)
        return inserted

    def weight(self, node: Node | None) -> Tensor | None:
        """The tensor that `node` reads from the module; None for anything that is computed, or for no node."""
        if node is None or node.op != "get_attr":
            return None
        found = operator.attrgetter(str(node.target))(self.graph_module)
        return found.detach() if isinstance(found, Tensor) else None


def value(node: Node) -> Any:
    """What `node` gives, without its data: a fake tensor with shape, strides and dtype, or a list of them."""
    return node.meta["val"]


def replace_calls(graph_module: GraphModule, targets: Collection[OpOverload], build: Build) -> GraphModule:
    """Replace each call of one of `targets` by what `build` puts in its place, and forget weights nobody reads now."""
    graph = graph_module.graph
    changed = False
    for node in list(graph.nodes):
        if node.op == "call_function" and node.target in targets:
            with graph.inserting_before(node):
                replacement = build(Site(graph_module, node), *arguments(node))
            if replacement is not None:
                put(node, replacement)
                changed = True
    if changed:
        forget_unused(graph_module)
    return graph_module


def forget_unused(graph_module: GraphModule) -> None:
    """Remove calls without a reader, then the parameters and buffers that nothing reads any more."""
    graph_module.graph.eliminate_dead_code()
    read = {str(node.target) for node in graph_module.graph.nodes if node.op == "get_attr"}
    tensors = (*graph_module.named_parameters(remove_duplicate=False), *graph_module.named_buffers())
    for name, _ in tensors:
        if name not in read:
            owner, _, attribute = name.rpartition(".")
            delattr(graph_module.get_submodule(owner), attribute)


def arguments(node: Node) -> list[Any]:
    """The call's arguments in the order of its operator's schema, defaults filled in."""
    schema = node.target._schema.arguments  # type: ignore[union-attr]
    given = dict(zip((argument.name for argument in schema), node.args, strict=False)) | node.kwargs
    return [given.get(argument.name, argument.default_value) for argument in schema]


def put(node: Node, replacement: Node | list[Node]) -> None:
    """Let every reader of `node` read its replacement; raises `InternalError` if that has another shape or type."""
    if isinstance(replacement, Node):
        _check_same(node, replacement)
        node.replace_all_uses_with(replacement)
    else:
        for reader in list(node.users):
            if reader.target is not operator.getitem:
                raise InternalError(f"{node} gives several tensors, but {reader} reads them all")
            part = replacement[reader.args[1]]  # type: ignore[index]
            _check_same(reader, part)
            reader.replace_all_uses_with(part)
            node.graph.erase_node(reader)
    node.graph.erase_node(node)


def _check_same(before: Node, after: Node) -> None:
    was, now = value(before), value(after)
    if was.shape != now.shape or was.dtype != now.dtype:
        raise InternalError(f"{before} gave {was.dtype} {list(was.shape)}, its rewrite {now.dtype} {list(now.shape)}")


def _fake(node: Node) -> FakeTensor:
    found = value(node)
    return found if isinstance(found, FakeTensor) else found[0]


def _home_of(graph_module: GraphModule, tensor: Tensor) -> str:
    kept = [name for name, _ in graph_module.named_buffers(recurse=False) if name.startswith("constant_")]
    for name in kept:
        other = getattr(graph_module, name)
        if other.shape == tensor.shape and other.dtype == tensor.dtype and torch.equal(other, tensor):
            return name
    fresh = f"constant_{max((int(name.removeprefix('constant_')) for name in kept), default=-1) + 1}"
    graph_module.register_buffer(fresh, tensor)
    return fresh
