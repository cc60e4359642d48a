"""What does not fit between a state dict and a network, in one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from edge.errors import WeightsError

SHOWN = 3
HEAD_TENSORS = 10
"""At most so many tensors make a classifier; more of another shape mean another network."""


def between(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> WeightsError | None:
    """The error for loading `state` into a network whose state dict is `own`, or None when every key and shape fits."""
    missing = sorted(own.keys() - state.keys())
    unexpected = sorted(state.keys() - own.keys())
    misshaped = sorted(name for name in own.keys() & state.keys() if state[name].shape != own[name].shape)
    if not (missing or unexpected or misshaped):
        return None
    if not (missing or unexpected) and (classes := _class_counts(state, own, misshaped)):
        return WeightsError(
            f"the weights have {classes[0]} classes, the model {classes[1]}", hint=f"give --num-classes {classes[0]}"
        )
    shapes = (f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}" for name in misshaped)
    fit = len(own) - len(missing) - len(misshaped)
    parts = (
        _summary("missing", len(missing), missing),
        _summary("unexpected", len(unexpected), unexpected),
        _summary("of another shape", len(misshaped), shapes),
    )
    return WeightsError(
        f"the weights are not this network's: {'; '.join(part for part in parts if part)}",
        hint=f"{fit} of the network's {len(own)} tensors fit: is it another variant, or another input size?",
    )


def _class_counts(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], misshaped: list[str]
) -> tuple[int, int] | None:
    """(classes of the weights, classes of the network) when nothing but that number differs, else None."""
    if len(misshaped) > HEAD_TENSORS or any(state[name].dim() != own[name].dim() for name in misshaped):
        return None
    differing = {
        sizes
        for name in misshaped
        for sizes in zip(state[name].shape, own[name].shape, strict=True)
        if sizes[0] != sizes[1]
    }
    first = {state[name].shape[0] != own[name].shape[0] for name in misshaped}
    return differing.pop() if len(differing) == 1 and first == {True} else None


def _summary(what: str, count: int, names: Iterable[str]) -> str:
    if not count:
        return ""
    shown = [name for name, _ in zip(names, range(SHOWN), strict=False)]
    return f"{count} {what} ({', '.join(shown)}{', …' if count > SHOWN else ''})"
