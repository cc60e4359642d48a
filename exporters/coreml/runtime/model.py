"""An ML package ready to predict, with the inputs and outputs that Core ML's own `predict` has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import BadArtifactError
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

        `state` comes from `make_state` and is changed; without it, all states are fresh. Raises `UsageError` for inputs that
        the description does not have, `BadArtifactError` when the program cannot be computed.
        """
        results = self.interpreter.run(self._inputs(given, state))
        return features.results(self.description, results)

    def steps(self, given: Mapping[str, Any]) -> Iterator[Step]:
        """Run one operation at a time, see `Interpreter.steps`."""
        return self.interpreter.steps(self._inputs(given, None), {})

    def make_state(self) -> dict[str, features.State]:
        """Fresh states, all zeros, by name."""
        return features.states(self.description)

    def _inputs(self, given: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        held = features.inputs(self.description, self.interpreter.function, given)
        kept = self.make_state() if state is None else features.given_states(self.description, state)
        return held | kept


def load(path: Path, arithmetic: Arithmetic = Arithmetic.DECLARED, function_name: str = "") -> ReferenceModel:
    """Load the package at `path`: its default function, or the one named.

    Raises `BadArtifactError`, and `NotExecutableHereError` for an operator that is unknown here.
    """
    model = package.read(path)
    name = function_name or model.description.defaultFunctionName or "main"
    loaded = function(model, name, Weights(path))
    description = _description(model.description, name)
    features.check(description, loaded)
    return ReferenceModel(description, Interpreter(loaded, arithmetic))


def _description(description: Any, name: str) -> Any:
    """What describes the features of a function: one of several, or the whole description where there is only one."""
    if not description.functions:
        return description
    for each in description.functions:
        if each.name == name:
            return each
    raise BadArtifactError(f"nothing describes the inputs of the function {name!r}", hint=package.AGAIN)
