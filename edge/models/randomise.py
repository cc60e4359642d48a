"""Random statistics for a network without trained weights, so that every branch of it matters to its output.

A fresh network's layer scales and the norms at the end of its residual branches are near zero: a wrong branch would go
unnoticed by any comparison. The ranges are those of models.md §9.1. Weights keep half the power of what they are given:
with much less an answer is made of biases and hardly depends on the picture (EfficientViT-M0: 0.1 % of it does), with all
of it residual branches amplify rounding errors (the same network overflows in half precision).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import torch
from torch import Generator, Tensor, nn

Fill = Callable[[Tensor, Generator], Tensor]

_BIAS_TABLE = re.compile(r"attention_bias(es)?|relative_position_bias_table|bias_table")
_LAYER_SCALE = re.compile(r"gamma(_\d+)?|ls_?\d*|layer_?scale\w*")


def randomise_statistics(module: nn.Module, seed: int) -> None:
    """Set the weights, norms, attention-bias tables, layer scales and biases of `module` at random, in place.

    The same seed gives the same values; torch's global random state is untouched.
    """
    generator = Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in module.modules():
            for name, tensor in (*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)):
                if fill := _fill(layer, name, tensor):
                    fill(tensor, generator)


def _normal(tensor: Tensor, generator: Generator, *, deviation: float) -> Tensor:
    return tensor.normal_(0, deviation, generator=generator)


def _uniform(tensor: Tensor, generator: Generator, *, low: float, high: float) -> Tensor:
    return tensor.uniform_(low, high, generator=generator)


_OF_A_NORM: dict[str, Fill] = {
    "weight": partial(_uniform, low=0.5, high=1.5),
    "bias": partial(_normal, deviation=0.1),
    "running_mean": partial(_normal, deviation=0.1),
    "running_var": partial(_uniform, low=0.5, high=1.5),
}


def _fill(layer: nn.Module, name: str, tensor: Tensor) -> Fill | None:
    """How the tensor `name` of `layer` is drawn, or None when its own initialisation is good."""
    if "norm" in type(layer).__name__.lower() and tensor.dim() == 1:
        return _OF_A_NORM.get(name)
    if _BIAS_TABLE.fullmatch(name) and tensor.is_floating_point():
        return partial(_normal, deviation=0.5)
    if _LAYER_SCALE.fullmatch(name):
        return partial(_uniform, low=0.1, high=0.5)
    if name == "weight" and tensor.dim() > 1 and tensor.is_floating_point():
        return partial(_normal, deviation=(2 * tensor[0].numel()) ** -0.5)
    return partial(_normal, deviation=0.05) if name == "bias" else None
