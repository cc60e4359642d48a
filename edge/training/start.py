"""The network a run starts from: fresh, or with the weights of another run, with a new head where the classes differ."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge import runfolder
from edge.errors import UsageError, WeightsError
from edge.models import sources
from edge.models.catalog import entry
from edge.preprocess import Preprocess
from edge.reference import Kind, ModelRequest
from edge.training.data import DIGITS, DIGITS_LICENCE
from edge.training.lesson import normalised

GREY = (0.5, 0.5, 0.5)
"""Mean and standard deviation for digits: black on white runs from 1 to -1."""


@dataclass(frozen=True, slots=True)
class Start:
    """A network before its first step, how pictures enter it, the reference that builds it again, and its licence."""

    network: nn.Module
    preprocess: Preprocess
    reference: str
    licence: str


def start(request: ModelRequest, data: str, classes: int) -> Start:
    """The network that `request` names, with a head of `classes`. Raises what `resolve` raises, and `UsageError`."""
    torch.manual_seed(request.seed)
    is_fresh = request.kind is Kind.CATALOG and request.weights is None and not request.pretrained
    found = _fresh(request, data, classes) if is_fresh else _resolved(request, data, classes)
    _require_classifier(found, classes)
    return found


class Teacher:
    """A trained network that answers to pictures (B, 3, H, W) in 0..1 of the student's size with logits (B, K)."""

    def __init__(self, request: ModelRequest, classes: int) -> None:
        if request.kind is not Kind.RUN and request.weights is None:
            raise UsageError(
                f"the teacher {request.reference} has no weights", hint="give --teacher-weights, or a run folder"
            )
        model = sources.resolve(replace(request, num_classes=classes))
        if model.preprocess is None:
            raise UsageError(
                f"the teacher {request.reference} does not take a picture", hint="give a classifier of pictures"
            )
        self._network, self._preprocess = model.module.eval().requires_grad_(False), model.preprocess

    def __call__(self, pictures: Tensor) -> Tensor:
        size = [self._preprocess.height, self._preprocess.width]
        if list(pictures.shape[2:]) != size:
            pictures = F.interpolate(pictures, size, mode="bilinear", antialias=True)
        return self._network(normalised(pictures, self._preprocess))


def _fresh(request: ModelRequest, data: str, classes: int) -> Start:
    row = entry(request.reference)
    size = request.image_size or (row.input_size, row.input_size)
    network = import_module(f"edge.models.{row.family}").build(row.name, num_classes=classes, image_size=size)
    if data == DIGITS:
        return Start(network, Preprocess(*size, crop=1.0, mean=GREY, std=GREY), row.name, DIGITS_LICENCE)
    return Start(network, Preprocess(*size), row.name, "unknown")


def _resolved(request: ModelRequest, data: str, classes: int) -> Start:
    try:
        model = sources.resolve(replace(request, num_classes=classes))
    except WeightsError:
        model = sources.resolve(
            replace(request, num_classes=None)
        )  # raises again when it is not the classes that differ
        model = replace(model, module=_with_head(model.module, request, classes))
    if model.preprocess is None:
        raise UsageError(f"{request.reference} does not take one picture", hint="train a network of input (1, 3, H, W)")
    preprocess = replace(model.preprocess, crop=1.0) if data == DIGITS else model.preprocess
    return Start(model.module.requires_grad_(True), preprocess, _builder(request).reference, model.weights.licence)


def _with_head(trained: nn.Module, request: ModelRequest, classes: int) -> nn.Module:
    """The trained network with the head, and only the head, of a fresh one for `classes`."""
    network = sources.resolve(replace(_builder(request), weights=None, pretrained=False, num_classes=classes)).module
    own = network.state_dict()
    body = {name: value for name, value in trained.state_dict().items() if value.shape == own[name].shape}
    network.load_state_dict({**own, **body})
    return network


def _builder(request: ModelRequest) -> ModelRequest:
    """The request for the bare network."""
    if request.kind is not Kind.RUN:
        return request
    folder = Path(request.reference)
    return runfolder.network(folder, runfolder.read(folder), request)


def _require_classifier(found: Start, classes: int) -> None:
    size = (found.preprocess.height, found.preprocess.width)
    with torch.no_grad():
        answer = found.network.eval()(torch.zeros(1, 3, *size))
    if not isinstance(answer, Tensor) or tuple(answer.shape) != (1, classes):
        raise UsageError(
            f"{found.reference} does not answer with one row of {classes} logits",
            hint="train a classifier of these classes",
        )
