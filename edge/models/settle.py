"""Scales the random statistics of batch norms to a network's own signals, so that these neither fade nor explode.

Statistics drawn blindly are those of no network: with weights of unit gain the signals of EfficientViT-M5 grow to 8e6,
beyond float16, and with smaller ones its answer hardly depends on the picture. A trained network has neither fault.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edge.card import TensorSpec

PICTURES = 2


def settle_statistics(module: nn.Module, spec: TensorSpec, seed: int) -> None:
    """Run `module`, in inference mode, on a few random pictures of `spec`, and scale each batch norm as they reach it.

    Running variances and means are multiplied so that what leaves the norm has an amplitude near a half: at twice that,
    EfficientViT's attentions amplify rounding errors thirtyfold. The factors are powers of two: sums in another order, on
    another machine, give the same weights. Networks without batch norms are left alone.
    """
    norms = [layer for layer in module.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    if norms:
        hooks = [norm.register_forward_pre_hook(_scale) for norm in norms]
        with torch.no_grad():
            module(_pictures(spec.shape[-2:], seed))
        for hook in hooks:
            hook.remove()


def _scale(norm: nn.Module, arguments: tuple[Any, ...]) -> None:
    assert isinstance(norm, _BatchNorm)
    power = float(arguments[0].double().square().mean())
    if norm.running_mean is not None and norm.running_var is not None and 0 < power < math.inf:
        octaves = round(math.log2(power) / 2 + 1)
        norm.running_mean.mul_(2.0**octaves)
        norm.running_var.mul_(4.0**octaves)


def _pictures(size: tuple[int, ...], seed: int) -> Tensor:
    """(PICTURES, 3, H, W): soft patches of strong colour, as photographs have them, under noise."""
    generator = torch.Generator().manual_seed(seed)
    patches = torch.randn(PICTURES, 3, 6, 6, generator=generator)
    noise = torch.randn(PICTURES, 3, *size, generator=generator)
    return 2 * F.interpolate(patches, size=size, mode="bilinear") + noise / 2
