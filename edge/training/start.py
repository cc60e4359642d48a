"""The network a run starts from: fresh, or with the weights of another run, with a new head where the classes differ."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from edge import runfolder
from edge.errors import UsageError, WeightsError
from edge.models import point
from edge.models.network import picture_size
from edge.models.sources import Model, resolve_fresh
from edge.preprocess import Preprocess
from edge.reference import Kind, ModelRequest
from edge.training.data import DIGITS, DIGITS_LICENCE
from edge.training.lesson import normalised

GREY = (0.5, 0.5, 0.5)
"""Mean and standard deviation for digits: white on black runs from 1 to -1."""


@dataclass(frozen=True, slots=True)
class Start:
    """A network before its first step, how pictures enter it, the reference that builds it again, and its licence."""

    network: nn.Module
    preprocess: Preprocess
    reference: str
    licence: str


def start(request: ModelRequest, data: str, classes: int) -> Start:
    """The network that `request` names, with a head of `classes`.

    Raises what `resolve_fresh` raises, and `UsageError` for a network that does not turn one picture into one row of logits.
    """
    model = with_classes(request, classes)
    _require_classifier(model, classes)
    preprocess, licence = preprocessing(model), model.weights.licence
    if is_fresh(request):
        licence = DIGITS_LICENCE if data == DIGITS else "unknown"
        preprocess = from_scratch(preprocess, data)
    preprocess = replace(preprocess, crop=1.0) if data == DIGITS else preprocess
    return Start(model.module, preprocess, bare(request).reference, licence)


def from_scratch(preprocess: Preprocess, data: str) -> Preprocess:
    """How pictures of `data` enter a network that has learned nothing yet, where its family takes them by `preprocess`.

    A scan of a digit fills its picture, so nothing of it is cropped away.
    """
    return replace(preprocess, mean=GREY, std=GREY, crop=1.0) if data == DIGITS else preprocess


def is_fresh(request: ModelRequest) -> bool:
    """Whether the request names no weights."""
    return request.weights is None and not request.pretrained and request.kind is not Kind.RUN


class Teacher:
    """A trained network that answers to pictures (B, 3, H, W) in 0..1 of the student's size with logits (B, K)."""

    def __init__(self, request: ModelRequest, classes: int) -> None:
        if is_fresh(request):
            raise UsageError(
                f"the teacher {request.reference} has no weights", hint="give --teacher-weights, or a run folder"
            )
        model = resolve_fresh(replace(request, num_classes=classes))
        _require_classifier(model, classes)
        self._network, self._preprocess = model.module.requires_grad_(False), preprocessing(model)

    def __call__(self, pictures: Tensor) -> Tensor:
        size = [self._preprocess.height, self._preprocess.width]
        if list(pictures.shape[2:]) != size:
            pictures = F.interpolate(pictures, size, mode="bilinear", antialias=True)
        return self._network(normalised(pictures, self._preprocess))


def with_classes(request: ModelRequest, classes: int) -> Model:
    """The network as training starts from it; a head that is trained for other classes makes way for a fresh one.

    Raises what `resolve_fresh` raises.
    """
    try:
        return resolve_fresh(replace(request, num_classes=classes))
    except WeightsError as error:
        if is_fresh(request):
            raise
        return _with_new_head(request, classes, error)


def _with_new_head(request: ModelRequest, classes: int, error: WeightsError) -> Model:
    """The trained network with the head, and only the head, of a fresh one. Raises `error` where that does not help."""
    try:
        trained = resolve_fresh(replace(request, num_classes=None))
    except WeightsError:
        hint = "fine-tuning takes weights of this network, with its published classes, or a run folder"
        raise WeightsError(str(error), hint=hint) from None
    model = resolve_fresh(replace(bare(request), num_classes=classes))
    own = model.module.state_dict()
    body = {name: value for name, value in trained.module.state_dict().items() if value.shape == own[name].shape}
    model.module.load_state_dict({**own, **body})
    return replace(model, weights=trained.weights, preprocess=trained.preprocess)


def bare(request: ModelRequest) -> ModelRequest:
    """The request for the network without its weights; a point is named by its content, as its file may go."""
    bare = replace(request, weights=None, pretrained=False)
    if request.kind is Kind.POINT:
        return replace(bare, reference=point.reference(point.spec_of(request.reference)))
    if request.kind is not Kind.RUN:
        return bare
    folder = Path(request.reference)
    return runfolder.network(folder, runfolder.read(folder), bare)


def preprocessing(model: Model) -> Preprocess:
    """What the model says of its pictures, or the usual for its input."""
    if model.preprocess is not None:
        return model.preprocess
    if (size := picture_size(model.inputs)) is None:
        raise UsageError(f"{model.reference} does not take one picture", hint="give a network of input (1, 3, H, W)")
    return Preprocess(*size)


def _require_classifier(model: Model, classes: int) -> None:
    shapes = [spec.shape for spec in model.outputs]
    if [shape[1:] for shape in shapes] != [(classes,)]:
        raise UsageError(
            f"{model.reference} has outputs {', '.join(map(str, shapes))}, not one row of {classes} logits",
            hint="give a classifier of that many classes",
        )
