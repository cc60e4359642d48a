"""The promise of an exporter: lower a captured program to one file, load it again, and say what is inside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge.card import Card
from edge.errors import UsageError
from edge.lint import Hint
from edge.measurement import Source
from edge.numerics import OperatorNumerics
from edge.operator_times import OperatorTime
from edge.parts import Parts
from edge.spec import PictureLayout, Precision, Recipe
from edge.toolchain import installed_version

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from edge.passes.capture import Pass

NO_OPERATOR_TIMES = "profile the same model exported with --target onnx or tflite, or leave --ops out"

Runner = Callable[[Sequence[NDArray[Any]]], tuple[NDArray[np.float32], ...]]
"""A loaded file: the inputs in the card's order, batch 1 each, to the outputs in the card's order."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file is made of: operators by type, and how they are shared out to delegates (zeros when there are none)."""

    operators: Mapping[str, int]
    partitions: int = 0
    inside: int = 0
    outside: int = 0


class Exporter(ABC):
    """One target format. A plugin file defines exactly one subclass; its name is the file's name.

    Importing the plugin file must not import torch or a vendor toolchain: methods import what they need.
    """

    suffix: ClassVar[str]
    """How the file's name ends, with the dot."""
    distributions: ClassVar[tuple[str, ...]]
    """The packages that `lower` needs, as PyPI names them."""
    runtime: ClassVar[str]
    """The package that `load` uses, as PyPI names it."""
    precisions: ClassVar[tuple[Precision, ...]] = (Precision.FP32, Precision.FP16)
    picture_layout: ClassVar[PictureLayout] = PictureLayout.BYTES_NHWC

    @property
    def name(self) -> str:
        """The plugin's file name: what the user types after `--target`."""
        return type(self).__module__.split(".")[1]

    def executed_by(self) -> str:
        """The runtime and its version, for verdicts and measurements."""
        return f"{self.runtime} {installed_version(self.runtime) or 'missing'}"

    def timed_as(self) -> Source:
        """What the latency of a loaded file is worth on this machine: measured, where its runtime is the target's own."""
        return Source.MEASURED

    @abstractmethod
    def passes(self) -> tuple[Pass, ...]:
        """The rewrites this target needs, in order."""

    @abstractmethod
    def lower(self, program: ExportedProgram, recipe: Recipe, card: Card, path: Path) -> None:
        """Write `program`, already rewritten by `passes`, to `path` with `card` inside.

        Two calls with equal arguments write equal bytes. Raises `ConversionError`.
        """

    @abstractmethod
    def load(self, path: Path, threads: int = 1) -> Runner:
        """Load the file into this machine's runtime, which may compute on so many threads.

        Raises `BadArtifactError` when it is damaged, `NotExecutableHereError` when no runtime here knows what is in it.
        """

    def time_operators(
        self,
        path: Path,
        inputs: Sequence[NDArray[Any]],  # noqa: ARG002
        *,
        warmup: int,  # noqa: ARG002
        runs: int,  # noqa: ARG002
        threads: int = 1,  # noqa: ARG002
    ) -> tuple[OperatorTime, ...]:
        """The median time of each operator over `runs`, in the order of execution.

        Raises like `load`, and `UsageError` for a target whose runtime here does not tell.
        """
        raise UsageError(
            f"the runtime that executes {path.name} here does not tell the times of single operators",
            hint=NO_OPERATOR_TIMES,
        )

    def take_apart(self, path: Path) -> Parts:
        """The file's operators, each to be executed alone. Raises `BadArtifactError`, and `UsageError` where that cannot be."""
        raise UsageError(
            f"the values between the operators of {path.name} cannot be obtained: {self.name} keeps them inside",
            hint="bisect another target of the same model, onnx or coreml",
        )

    def recipe(self, path: Path) -> Recipe:
        """How the file was exported. Raises `BadArtifactError`."""
        card = self.card(path)
        return Recipe(self.name, card.precision, card.input_kind)

    @abstractmethod
    def card(self, path: Path) -> Card:
        """Read the card inside the file. Raises `BadArtifactError`."""

    @abstractmethod
    def contents(self, path: Path) -> Contents:
        """Count what is inside the file. Raises `BadArtifactError`."""

    def lint(self, path: Path) -> tuple[Hint, ...]:  # noqa: ARG002
        """What may keep the target's accelerator from running the file, where rules are known. Raises `BadArtifactError`."""
        return ()

    def numerics(self, path: Path, rows: Iterable[Sequence[NDArray[Any]]]) -> list[OperatorNumerics]:  # noqa: ARG002
        """What float16 costs each operator of the file, over rows of inputs in the card's order.

        Raises `BadArtifactError`, and `UsageError` for a target whose runtime does not show it.
        """
        raise UsageError(
            f"what float16 costs the operators of {path.name} cannot be seen: its runtime executes it as one piece",
            hint="ask it of the same model exported with --target coreml",
        )
