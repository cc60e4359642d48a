"""Random numbers: the published distributions, not Core ML's own sequences, which nothing documents."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.coreml.runtime.ops.sizes import affordable
from exporters.coreml.runtime.ops.table import Table, family, integer, integers

TABLE: Table = {}
operator = family(TABLE)
ANY_SEED = torch.tensor(-1)


@operator("random_uniform")
def random_uniform(
    shape: Tensor, low: Tensor = torch.tensor(0.0), high: Tensor = torch.tensor(1.0), seed: Tensor = ANY_SEED
) -> Tensor:
    """From `low` up to, not including, `high`."""
    return low + (high - low) * torch.rand(affordable(integers(shape)), generator=_generator(seed))


@operator("random_normal")
def random_normal(
    shape: Tensor, mean: Tensor = torch.tensor(0.0), stddev: Tensor = torch.tensor(1.0), seed: Tensor = ANY_SEED
) -> Tensor:
    return mean + stddev * torch.randn(affordable(integers(shape)), generator=_generator(seed))


@operator("random_bernoulli")
def random_bernoulli(shape: Tensor, prob: Tensor = torch.tensor(0.5), seed: Tensor = ANY_SEED) -> Tensor:
    """1 with probability `prob`, else 0."""
    return (torch.rand(affordable(integers(shape)), generator=_generator(seed)) < prob).float()


@operator("random_categorical")
def random_categorical(
    x: Tensor, mode: str = "logits", size: Tensor = torch.tensor(1), seed: Tensor = ANY_SEED
) -> Tensor:
    """`size` classes for each row of logits or probabilities x (..., classes), each drawn from all of them."""
    weights = {"logits": torch.softmax(x.float(), -1), "probs": x.float()}[mode]
    rows = weights.reshape(-1, x.shape[-1])
    drawn = torch.multinomial(rows, integer(size), replacement=True, generator=_generator(seed))
    return drawn.reshape(*x.shape[:-1], integer(size)).to(x.dtype)


def _generator(seed: Tensor) -> torch.Generator | None:
    """The same numbers on every run for a seed, torch's own generator without one."""
    return torch.Generator().manual_seed(integer(seed)) if integer(seed) >= 0 else None
