"""Turns a model request into a network that is ready to capture, with what its card needs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edge.card import TensorSpec, WeightsOrigin
from edge.preprocess import Preprocess


@dataclass(frozen=True, slots=True)
class Model:
    """A network in its training form, in inference mode, with the facts that its card repeats."""

    reference: str
    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    weights: WeightsOrigin
    preprocess: Preprocess | None = None
    labels: tuple[str, ...] = ()

    def example_inputs(self, seed: int = 0) -> tuple[Tensor, ...]:
        """Random inputs of the right shapes and dtypes, N(0, 1) for floats."""
        generator = torch.Generator().manual_seed(seed)
        return tuple(torch.randn(spec.shape, generator=generator).to(getattr(torch, spec.dtype)) for spec in self.inputs)

    def deploy(self) -> nn.Module:
        """The fast, folded form of the network where its family has one, else the network itself."""
        deploy = getattr(self.module, "deploy", None)
        return deploy() if callable(deploy) else self.module
