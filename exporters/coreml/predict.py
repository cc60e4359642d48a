"""Executes an ML package: with Apple's own framework where there is one, with the reference runtime elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge.card import Card
from edge.errors import BadArtifactError
from edge.exporter import Runner
from edge.measurement import Source
from edge.toolchain import installed_version
from exporters.coreml.names import class_names

Predict = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Features by name to results by name, as `coremltools.models.MLModel.predict` has them."""


def runner(path: Path, card: Card, threads: int = 1) -> Runner:
    """Load `path` into this machine's runtime, of which the framework alone decides on threads.

    Raises `BadArtifactError` when that refuses the package.
    """
    predict, description = _load(path)

    def run(values: Sequence[NDArray[Any]]) -> tuple[NDArray[np.float32], ...]:
        with on_threads(threads):
            return from_features(description, predict(to_features(description, values)), card)

    return run


@contextmanager
def on_threads(threads: int) -> Iterator[None]:
    """Let torch, with which the reference runtime computes, use so many threads in this block."""
    import torch

    before = torch.get_num_threads()
    if threads != before:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if threads != before:
            torch.set_num_threads(before)


def executed_by() -> str:
    """What `runner` executes with, in words."""
    if _has_framework():
        return f"Core ML (coremltools {installed_version('coremltools') or 'missing'})"
    return (
        f"edge's reference runtime {installed_version('edge-toolchain')} (ML Program semantics on the CPU, not Core ML)"
    )


def timed_as() -> Source:
    """What a latency of `runner` is worth: only Apple's framework tells how long Core ML takes."""
    return Source.MEASURED if _has_framework() else Source.REFERENCE_RUNTIME


def to_features(description: Any, values: Sequence[NDArray[Any]]) -> dict[str, Any]:
    """Inputs in the card's order, by name, as Core ML takes them: PIL pictures for planes of 0..255, or arrays."""
    return {feature.name: _to_feature(feature, value) for feature, value in zip(description.input, values, strict=True)}


def from_features(description: Any, results: Mapping[str, Any], card: Card) -> tuple[NDArray[np.float32], ...]:
    """Core ML's results in the card's order; a classifier's dictionary becomes its (1, K) row again."""
    if description.predictedFeatureName:
        values = results[description.predictedProbabilitiesName]
        return (np.asarray([[values[name] for name in class_names(card.labels)]], np.float32),)
    return tuple(np.asarray(results[feature.name], np.float32) for feature in description.output)


def _has_framework() -> bool:
    return sys.platform == "darwin"


def _load(path: Path) -> tuple[Predict, Any]:
    """How to predict with `path`, and the description of its features."""
    return _load_framework(path) if _has_framework() else _load_reference(path)


def _load_reference(path: Path) -> tuple[Predict, Any]:
    from exporters.coreml.runtime import model

    loaded = model.load(path)
    return loaded.predict, loaded.description


def _load_framework(path: Path) -> tuple[Predict, Any]:
    """On all compute units, as a phone does."""
    import coremltools as ct

    try:
        loaded = ct.models.MLModel(str(path))
    except Exception as error:  # the framework's own errors arrive as RuntimeError, others as they are
        raise BadArtifactError(f"Core ML refuses {path.name}: {error}", hint="export the model again") from None
    return loaded.predict, loaded.get_spec().description


def _to_feature(feature: Any, value: NDArray[Any]) -> Any:
    if feature.type.WhichOneof("Type") == "imageType":
        return Image.fromarray(value[0].transpose(1, 2, 0).astype(np.uint8), "RGB")
    single = np.issubdtype(value.dtype, np.floating)
    return value.astype(np.float32 if single else np.int32)
