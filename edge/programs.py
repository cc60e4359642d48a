"""What is handed to an exporter: the captured program of a model, and the card that goes into the file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch.export import ExportedProgram

from edge import plugins
from edge.card import Card
from edge.errors import ConversionError
from edge.models.picture_input import PictureInput, picture_spec
from edge.models.sources import Model
from edge.passes.capture import capture
from edge.spec import InputKind, PictureLayout, Recipe


def save(model: Model, recipes: Iterable[Recipe], folder: Path) -> dict[Recipe, Path]:
    """Capture the deploy form once for each kind of input that the recipes need, and save it for the workers."""
    deployed = model.deploy()
    saved: dict[PictureLayout | None, Path] = {}
    paths = {}
    for recipe in recipes:
        layout = picture_layout(recipe)
        if layout not in saved:
            saved[layout] = folder / f"{layout or 'tensors'}.pt2"
            torch.export.save(captured(model, deployed, layout), saved[layout])
        paths[recipe] = saved[layout]
    return paths


def captured(model: Model, network: torch.nn.Module, layout: PictureLayout | None) -> ExportedProgram:
    """The program of `network` on the model's own tensors, or on a picture. Raises `ConversionError`."""
    if layout is None:
        return capture(network, model.example_inputs())
    if model.preprocess is None:
        raise ConversionError(f"{model.reference} does not take one picture", hint="use --input float")
    spec = picture_spec(model.inputs[0].name, model.preprocess, layout)
    picture = torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype))
    return capture(PictureInput(network, model.preprocess, layout), (picture,))


def picture_layout(recipe: Recipe) -> PictureLayout | None:
    """How the program takes a picture, in the target's layout; None when it takes the model's own tensors."""
    return plugins.exporter(recipe.exporter).picture_layout if recipe.input_kind is InputKind.IMAGE else None


def card(model: Model, recipe: Recipe) -> Card:
    """The card of the file that `recipe` makes of `model`."""
    layout = picture_layout(recipe)
    inputs = model.inputs
    if layout is not None and model.preprocess is not None:
        inputs = (picture_spec(inputs[0].name, model.preprocess, layout),)
    return Card(
        model=model.reference,
        inputs=inputs,
        outputs=model.outputs,
        precision=recipe.precision,
        input_kind=recipe.input_kind,
        weights=model.weights,
        preprocess=model.preprocess,
        labels=model.labels,
        tools=plugins.versions(plugins.exporter(recipe.exporter)),
    )
