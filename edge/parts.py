"""A file taken apart: its operators in order, each ready to be executed alone on values that the caller chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Values = tuple[Any, ...]
"""Arrays, or what else passes between a runtime's operators; two files of one exporter understand each other's."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator that computes from the file's inputs; weights, and what is computed from weights alone, belong to it.

    `run` executes it on several rows of inputs (one value for each of `inputs`) and gives a row of outputs for each.
    Nothing is kept between calls. It raises `BadArtifactError`.
    """

    name: str
    """The name of its first output."""
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    run: Callable[[Sequence[Values]], list[Values]]


@dataclass(frozen=True, slots=True)
class Parts:
    """The names of a file's inputs, in the card's order, and its operators: each uses only inputs and earlier outputs."""

    inputs: tuple[str, ...]
    operators: tuple[Operator, ...]
