"""Executes an ML package with Apple's own framework, which only Apple's systems have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge.card import Card
from edge.exporter import Runner
from exporters.coreml.names import class_names


def runner(path: Path, card: Card) -> Runner:
    """Load `path` on all compute units, as a phone does. Raises `BadArtifactError` when Core ML refuses it."""
    import coremltools as ct

    from edge.errors import BadArtifactError

    try:
        loaded = ct.models.MLModel(str(path))
    except Exception as error:  # the framework's own errors arrive as RuntimeError, others as they are
        raise BadArtifactError(f"Core ML refuses {path.name}: {error}", hint="export the model again") from None
    description = loaded.get_spec().description

    def run(values: Sequence[NDArray[Any]]) -> tuple[NDArray[np.float32], ...]:
        features = zip(description.input, values, strict=True)
        results = loaded.predict({feature.name: to_feature(feature, value) for feature, value in features})
        return from_features(description, results, card)

    return run


def to_feature(feature: Any, value: NDArray[Any]) -> Any:
    """What Core ML takes for an input of this description: a PIL picture for planes of 0..255, or an array."""
    if feature.type.WhichOneof("Type") == "imageType":
        return Image.fromarray(value[0].transpose(1, 2, 0).astype(np.uint8), "RGB")
    single = np.issubdtype(value.dtype, np.floating)
    return value.astype(np.float32 if single else np.int32)


def from_features(description: Any, results: Mapping[str, Any], card: Card) -> tuple[NDArray[np.float32], ...]:
    """Core ML's results in the card's order; a classifier's dictionary becomes its (1, K) row again."""
    if description.predictedFeatureName:
        values = results[description.predictedProbabilitiesName]
        return (np.asarray([[values[name] for name in class_names(card.labels)]], np.float32),)
    return tuple(np.asarray(results[feature.name], np.float32) for feature in description.output)
