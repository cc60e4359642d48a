"""Pieces and networks as models that can be exported: random weights, none of them shared or zero."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from edge.card import TensorSpec, WeightsOrigin
from edge.latency.pieces import PROBE, Piece
from edge.models import signature
from edge.models.layers import deployed
from edge.models.network import seeded
from edge.models.sources import Model
from edge.space import Block, SearchSpace, Shape
from edge.spec import ModelSpec


def model(space: SearchSpace, content: Piece | ModelSpec, seed: int) -> Model:
    """A piece or a network of the space in its deploy form, batch 1, with weights drawn from `seed`."""
    with seeded(seed):
        if isinstance(content, ModelSpec):
            reference = f"{space.name} network"
            shape: Shape = (3, *space.image_size)
            module = deployed(space.build(content).eval())
        else:
            reference, shape = " + ".join(block.key for block in content), content[0].input
            module = nn.Sequential(*(_module(space, block) for block in content)).eval()
    _fill(module, seed)
    inputs = (TensorSpec("input", (1, *shape)),)
    outputs = signature.outputs(module, (torch.zeros(1, *shape),), (), reference)
    return Model(reference, module, inputs, outputs, WeightsOrigin("random numbers"))


def _module(space: SearchSpace, block: Block) -> nn.Module:
    return _probe(block.input) if block.kind == PROBE else space.module(block)


def _probe(shape: Shape) -> nn.Module:
    if len(shape) == 3:
        return nn.Conv2d(shape[0], shape[0], 3, padding=1, groups=shape[0])
    return nn.Linear(shape[-1], shape[-1])


def _fill(module: nn.Module, seed: int) -> None:
    """Random values in all weights: equal ones (a fresh network's zeros) would be stored once and shared by a file's blocks.

    Their power is that of what goes in, so that no value of a chain overflows or is denormal.
    """
    generator = Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point() and tensor.dim():
                tensor.normal_(0, _deviation(tensor), generator=generator)
        for layer in module.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.running_var is not None:
                layer.running_var.fill_(1.0)


def _deviation(tensor: Tensor) -> float:
    return float(tensor[0].numel() ** -0.5) if tensor.dim() > 1 else 0.1
