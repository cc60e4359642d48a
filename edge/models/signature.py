"""What a network answers: the names, shapes and dtypes of its outputs, learned by running it once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from edge.card import TensorSpec
from edge.errors import UsageError
from edge.user_code import user_code


def outputs(
    module: nn.Module, inputs: tuple[Tensor, ...], names: tuple[str, ...], reference: str
) -> tuple[TensorSpec, ...]:
    """The outputs in the order in which `edge.expected.flatten` gives them.

    Tensors of a dict or a named tuple have its names, a single (B, K) is `logits`, all others `output_N`; `names`, when
    given, replace them. Raises `UsageError` when the module fails, or answers with something that is no tensor.
    """
    with torch.no_grad(), running(reference, inputs):
        answer = module(*inputs)
    if isinstance(answer, Tensor):
        found = [("logits" if answer.dim() == 2 else "output_0", answer)]
    else:
        found = list(_named(answer, "", reference))
    if not found:
        raise UsageError(f"{reference} returns no tensor", hint="return a tensor, or a tuple or dict of tensors")
    if names and len(names) != len(found):
        raise UsageError(
            f"{len(names)} output names for {len(found)} outputs of {reference}", hint="name each output, or none"
        )
    return tuple(
        TensorSpec(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, (_, tensor) in zip(names or [name for name, _ in found], found, strict=True)
    )


def running(reference: str, inputs: Sequence[Tensor | TensorSpec]) -> AbstractContextManager[None]:
    """Whatever the network raises inside becomes a `UsageError` that names the shapes it was run on."""
    shapes = ", ".join("x".join(str(size) for size in each.shape) for each in inputs)
    return user_code(
        f"running {reference} on an input of {shapes}",
        hint="is that an input the network can take? mend that line, or give another --image-size",
    )


def _named(answer: Any, prefix: str, reference: str) -> Iterator[tuple[str, Tensor]]:
    """Every tensor inside nested sequences and mappings, under the joined names of the places that lead to it."""
    if isinstance(answer, Tensor):
        yield prefix or "output", answer
    elif isinstance(answer, dict):
        for key, part in answer.items():
            yield from _named(part, _joined(prefix, str(key)), reference)
    elif isinstance(answer, (tuple, list)):
        for key, part in zip(getattr(answer, "_fields", range(len(answer))), answer, strict=True):
            yield from _named(part, _joined(prefix or ("output" if isinstance(key, int) else ""), str(key)), reference)
    else:
        raise UsageError(
            f"{reference} returns {prefix or 'an answer'} of type {type(answer).__name__}",
            hint="return a tensor, or a tuple or dict of tensors",
        )


def _joined(prefix: str, key: str) -> str:
    return f"{prefix}_{key}" if prefix else key
