"""What `edge train` was asked for, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.reference import ModelRequest
from edge.training.recipe import TrainingRecipe


@dataclass(frozen=True, slots=True)
class TrainingOrder:
    """Everything that `edge train` was asked for.

    `leak_epochs` None: a third of the run for a network that can leak. `workers` are threads that decode pictures. `scenes`
    are those drawn to train on, where they are drawn; None for the usual number.
    """

    request: ModelRequest
    data: str
    out: Path
    recipe: TrainingRecipe
    leak_epochs: int | None = None
    teacher: ModelRequest | None = None
    workers: int = 1
    scenes: int | None = None
