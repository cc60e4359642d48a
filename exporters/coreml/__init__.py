"""Core ML: an ML package for Apple's systems, picture in and label out where the model is a classifier."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from edge.card import KEY, Card
from edge.errors import BadArtifactError
from edge.exporter import Contents, Exporter, Runner
from edge.lint import Hint
from edge.measurement import Source
from edge.numerics import OperatorNumerics
from edge.operator_times import OperatorTime
from edge.parts import Parts
from edge.spec import PictureLayout, Recipe
from exporters.coreml import package, predict, weights

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from edge.passes.capture import Pass


class CoreML(Exporter):
    """coremltools' ML Program. The outputs stay the model's own: a classifier's values are logits if the model gives logits."""

    suffix: ClassVar[str] = ".mlpackage"
    distributions: ClassVar[tuple[str, ...]] = ("coremltools",)
    runtime: ClassVar[str] = "coremltools"
    picture_layout: ClassVar[PictureLayout] = PictureLayout.PLANES_NCHW

    def passes(self) -> tuple[Pass, ...]:
        from edge.passes.hygiene import HYGIENE

        return HYGIENE

    def lower(self, program: ExportedProgram, recipe: Recipe, card: Card, path: Path) -> None:
        from exporters.coreml.convert import convert

        with tempfile.TemporaryDirectory(prefix="edge-coreml-") as scratch:
            converted = convert(program, recipe, card, Path(scratch))
            package.write(path, converted.model, converted.weights)

    def load(self, path: Path, threads: int = 1) -> Runner:
        return predict.runner(path, self.card(path), threads)

    def time_operators(
        self, path: Path, inputs: Sequence[NDArray[Any]], *, warmup: int, runs: int, threads: int = 1
    ) -> tuple[OperatorTime, ...]:
        """Of the reference runtime: what an operator costs there says nothing of a phone."""
        from exporters.coreml.runtime import model
        from exporters.coreml.runtime.timing import operator_times

        loaded = model.load(path)
        given = predict.to_features(loaded.description, inputs)
        with predict.on_threads(threads):
            return operator_times(loaded, given, warmup=warmup, runs=runs)

    def executed_by(self) -> str:
        return predict.executed_by()

    def timed_as(self) -> Source:
        return predict.timed_as()

    def take_apart(self, path: Path) -> Parts:
        """Executed by the reference runtime, on Apple's systems too: their framework gives no values between operators."""
        from exporters.coreml.parts import take_apart

        return take_apart(path, self.card(path))

    def recipe(self, path: Path) -> Recipe:
        from exporters.coreml.runtime.program import OPSETS

        opset = next(iter(package.read(path).mlProgram.functions.values())).opset
        recipe = super().recipe(path)
        return replace(recipe, coreml_target=f"iOS{OPSETS[opset]}") if opset in OPSETS else recipe

    def card(self, path: Path) -> Card:
        metadata = package.read(path).description.metadata.userDefined
        if KEY not in metadata:
            raise BadArtifactError(
                f"{path.name} carries no card: edge did not write it", hint="export the model with `edge export`"
            )
        return Card.from_json(metadata[KEY])

    def contents(self, path: Path) -> Contents:
        """Operators by type; constants are data, so they are left out."""
        model = package.read(path)
        weights.check(path, model)
        counts = Counter(operation.type for operation in package.operations(model) if operation.type != "const")
        return Contents(operators=dict(sorted(counts.items())))

    def lint(self, path: Path) -> tuple[Hint, ...]:
        from exporters.coreml.lint import lint

        return lint(package.read(path))

    def numerics(self, path: Path, rows: Iterable[Sequence[NDArray[Any]]]) -> list[OperatorNumerics]:
        """As the reference runtime computes it, whatever precision the file has."""
        from exporters.coreml.runtime import model
        from exporters.coreml.runtime.numerics import numerics

        loaded = model.load(path)
        return numerics(loaded, (predict.to_features(loaded.description, row) for row in rows))
