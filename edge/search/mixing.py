"""Which form each block should have, learned beside the weights: the MetaPaths of EfficientFormer V1 (models.md §3.1).

The noise is true Gumbel noise, so that a choice is drawn as often as it is probable; the paper's is uniform and only called
Gumbel. The paper does not say what its temperature is; ours is `temperature`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.search.supernet import Supernet
from edge.space import SearchSpace
from edge.spec import Choice

HOTTEST, COLDEST = 5.0, 0.5
"""Ours: at first every form of a block gets nearly the same share; at the end one of them gets nearly all."""


def temperature(epoch: int, epochs: int) -> float:
    """τ in an epoch, counted from 0: falls by the same factor from each epoch to the next."""
    return HOTTEST * (COLDEST / HOTTEST) ** (epoch / max(1, epochs - 1))


class Mixing(nn.Module):
    """A logit α for each value of each choice that is mixed, all alike at first; no choices, no parameters."""

    def __init__(self, choices: Mapping[str, tuple[Choice, ...]]) -> None:
        super().__init__()
        self.choices = dict(choices)
        self.logits = nn.ParameterList(nn.Parameter(torch.zeros(len(values))) for values in choices.values())

    def shares(self, temperature: float) -> dict[str, Tensor]:
        """For each choice a draw of softmax((α + Gumbel noise) / τ), (values,): positive, of sum 1."""
        drawn = (F.gumbel_softmax(logits, tau=temperature) for logits in self.logits)
        return dict(zip(self.choices, drawn, strict=True))

    def importance(self) -> dict[str, dict[Choice, float]]:
        """How probable each value of each choice is: softmax(α)."""
        probable = (logits.detach().softmax(0).tolist() for logits in self.logits)
        found = zip(self.choices.items(), probable, strict=True)
        return {name: dict(zip(values, shares, strict=True)) for (name, values), shares in found}


class MixedSupernet(Supernet):
    """A supernet that learns how probable the values of the mixed choices are; where a space mixes none, a plain one."""

    def __init__(self, space: SearchSpace, seed: int = 0) -> None:
        super().__init__(space, seed)
        self.mixing = Mixing({name: space.choices[name] for name in space.mixed_choices})

    def mixture(self, temperature: float) -> nn.Module:
        """The largest network with a draw of all that each mixed choice may be, in training mode; gradients reach α."""
        return self.space.mixture(self.network, self.mixing.shares(temperature))
