"""An ML package ready to predict, with the inputs and outputs that Core ML's own `predict` has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge.errors import BadArtifactError, UsageError
from exporters.coreml import package
from exporters.coreml.runtime import features
from exporters.coreml.runtime.interpreter import Arithmetic, Interpreter, Step
from exporters.coreml.runtime.program import function
from exporters.coreml.weights import Weights


@dataclass(frozen=True, slots=True)
class ReferenceModel:
    """One function of a package. `description` is the part of the `Model` message that describes its features."""

    description: Any
    interpreter: Interpreter

    def predict(self, given: Mapping[str, Any], state: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Results by name for arrays, numbers or PIL pictures by name; as `coremltools.models.MLModel.predict`.

        `state` comes from `make_state` and is changed. Raises `UsageError` for inputs that the description does not have.
        """
        results = self.interpreter.run(self._inputs(given, state))
        return features.results(self.description, results)

    def steps(self, given: Mapping[str, Any]) -> Iterator[Step]:
        """Run one operation at a time, see `Interpreter.steps`."""
        return self.interpreter.steps(self._inputs(given, None), {})

    def make_state(self) -> dict[str, Any]:
        """Fresh states, all zeros, by name."""
        return features.states(self.description)

    def _inputs(self, given: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        held = features.inputs(self.description, given)
        return held | dict(self.make_state() if state is None else state)


def load(path: Path, arithmetic: Arithmetic = Arithmetic.DECLARED, function_name: str = "") -> ReferenceModel:
    """Load the package at `path`: its default function, or the one named. Raises `BadArtifactError`."""
    model = package.read(path)
    name = function_name or model.description.defaultFunctionName or "main"
    description = model.description
    for each in description.functions:
        if each.name == name:
            description = each
    loaded = function(model, name, Weights(path))
    return ReferenceModel(description, Interpreter(loaded, arithmetic))
