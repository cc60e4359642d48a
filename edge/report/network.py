"""The network behind an export: built again, and counted."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from edge.card import Card
from edge.errors import EdgeError
from edge.export_folder import file_stem
from edge.models.sources import Model, resolve
from edge.reference import Kind, ModelRequest
from edge.report.facts import ModelFacts


def rebuilt(request: ModelRequest, card: Card) -> Model | str:
    """The network that `request` names, if its weights are still those of `card`; else, in words, why there is none.

    A request that names code (`file.py:factory`) is not followed: a report of somebody's folder runs nothing in it.
    """
    try:
        if request.kind is Kind.FACTORY:
            return "it is built by code, which a report does not run"
        model = resolve(request)
    except (EdgeError, OSError) as error:
        return str(error)
    return model if model.weights.sha256 == card.weights.sha256 else "its weights have changed since the export"


def facts(card: Card, model: Model | str) -> ModelFacts:
    """What the card says of the network and, where it could be built again, its sizes."""
    known = ModelFacts(file_stem(card.model), card.weights, card.inputs[0].shape)
    if isinstance(model, str):
        return replace(known, unknown=model)
    params = parameters(model.module)  # before deploy(), which may fold the module in place
    deployed = model.deploy()
    macs = multiply_adds(deployed, model.example_inputs())
    return replace(known, params=params, params_deploy=parameters(deployed), macs=macs)


def parameters(module: nn.Module) -> int:
    """How many numbers are learnt."""
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_adds(module: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    """Multiply-accumulates of convolutions and matrix products, as torch counts them (it calls one of them two flops)."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*inputs)
    return counter.get_total_flops() // 2
