"""From a captured program to the `Model` message of an ML Program, with coremltools."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.card import Card
from edge.errors import ConversionError
from edge.spec import InputKind, Precision, Recipe
from edge.suggest import unknown
from exporters._metadata import describe, plain
from exporters.coreml.names import class_names, feature_names

if TYPE_CHECKING:
    from torch.export import ExportedProgram

TARGETS = ("iOS15", "iOS16", "iOS17", "iOS18")
"""The oldest system that a file may be made for; ML Programs begin with iOS 15."""
DATE = "com.github.apple.coremltools.conversion_date"
PREVIEW = "com.apple.coreml.model.preview.type"
"""How Xcode shows the model; keys of coremltools' and Apple's own, see the coremltools guide, "Xcode Model Preview Types"."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A `Model` message, and the folder of its weights."""

    model: Any
    weights: Path


def convert(program: ExportedProgram, recipe: Recipe, card: Card, scratch: Path) -> Converted:
    """Convert in the folder `scratch`, where the weights stay. Raises `ConversionError` naming the operator at fault."""
    if recipe.coreml_target not in TARGETS:
        raise unknown("Core ML target", recipe.coreml_target, TARGETS)
    _refuse_shared_outputs(program)
    import coremltools as ct

    _register_alias()
    inputs = feature_names([spec.name for spec in card.inputs])
    outputs = feature_names([*inputs, *(spec.name for spec in card.outputs)])[len(inputs) :]
    classifier = ct.ClassifierConfig(list(class_names(card.labels))) if is_classifier(card) else None
    try:
        converted = ct.convert(
            program.run_decompositions({}),
            convert_to="mlprogram",
            inputs=[_input(name, card, index) for index, name in enumerate(inputs)],
            outputs=[
                ct.TensorType(name=name, dtype=_feature_type(spec.dtype))
                for name, spec in zip(outputs, card.outputs, strict=True)
            ],
            classifier_config=classifier,
            minimum_deployment_target=ct.target[recipe.coreml_target],
            compute_precision=ct.precision.FLOAT16 if recipe.precision is Precision.FP16 else ct.precision.FLOAT32,
            skip_model_load=True,
            package_dir=str(scratch / "converted.mlpackage"),
        )
    except Exception as error:  # coremltools lets through whatever an operator's translation raises
        operator = re.search(r"Unsupported fx node [\w.]+, kind ([\w.]+)", str(error))
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        reason = f"there is no translation of {operator[1]}" if operator else lines[0].strip()[:300]
        raise ConversionError(
            f"Core ML cannot express this model: {reason}", hint="replace the operator in the model's forward"
        ) from error
    model = converted.get_spec()
    _describe(model, card)
    return Converted(model, Path(converted.weights_dir))


def is_classifier(card: Card) -> bool:
    """Whether the only output is one value for each label."""
    return bool(card.labels) and [spec.shape for spec in card.outputs] == [(1, len(card.labels))]


def _input(name: str, card: Card, index: int) -> Any:
    """A tensor, or a picture of 0..255: the graph normalises, so the feature itself neither scales nor shifts."""
    import coremltools as ct

    spec = card.inputs[index]
    if card.input_kind is InputKind.IMAGE and len(spec.shape) == 4 and spec.shape[1] == 3:
        return ct.ImageType(name=name, shape=spec.shape, color_layout=ct.colorlayout.RGB)
    return ct.TensorType(name=name, shape=spec.shape, dtype=_feature_type(spec.dtype))


def _feature_type(dtype: str) -> type:
    """Core ML's tensors at a model's border are float32 or int32."""
    return np.float32 if dtype.startswith(("float", "bfloat")) else np.int32


def _refuse_shared_outputs(program: ExportedProgram) -> None:
    """Core ML names a value once: coremltools writes a broken file when one is two outputs, or an input and an output."""
    outputs = list(program.graph_signature.user_outputs)
    if len(set(outputs)) < len(outputs) or set(outputs) & set(program.graph_signature.user_inputs):
        raise ConversionError(
            "Core ML cannot give the same tensor twice, or an input unchanged", hint="return each tensor once"
        )


def _register_alias() -> None:
    """Let `aten.alias` through, which slices such as `x[:, :]` decompose to.

    coremltools 9.0 lacks it beside its twin `alias_copy` (github.com/apple/coremltools, issue 2517); a release that has it
    keeps its own. The other known gap, `int` and `bool` of one-element arrays under NumPy 2.4, is not on the route of an
    exported program, and NumPy is held below 2.4.
    """
    from coremltools.converters.mil.frontend.torch import torch_op_registry

    registry = torch_op_registry._TORCH_OPS_REGISTRY
    if registry.get_func("alias") is None:
        registry.set_func_by_name(registry.get_func("alias_copy"), "alias")


def _describe(model: Any, card: Card) -> None:
    """The five metadata fields, and a sentence for each input and output."""
    metadata = model.description.metadata
    metadata.author = card.weights.source
    metadata.license = card.weights.licence
    metadata.shortDescription = describe(card)
    metadata.versionString = card.weights.sha256[:12] or "unknown"
    metadata.userDefined.pop(DATE, None)
    for key, text in plain(card).items():
        metadata.userDefined[key] = text
    if is_classifier(card) and card.preprocess is not None:
        metadata.userDefined[PREVIEW] = "imageClassifier"
    for feature, spec in zip(model.description.input, card.inputs, strict=True):
        feature.shortDescription = _sentence(card, spec.layout)
    if is_classifier(card):
        label, values = model.description.output
        label.shortDescription = "The label with the largest value"
        values.shortDescription = "The model's own output for each label, which need not be a probability"


def _sentence(card: Card, layout: str) -> str:
    if card.preprocess is None:
        return layout or "A tensor"
    size = f"{card.preprocess.width}x{card.preprocess.height}"
    if card.input_kind is InputKind.IMAGE:
        return f"A picture of {size}; the model normalises it itself"
    mean, std = plain(card)["mean"], plain(card)["std"]
    return (
        f"{layout} {card.preprocess.colour} {size}, (value / 255 - mean) / std with mean {mean} and std {std}".strip()
    )
