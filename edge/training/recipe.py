"""How a network is trained, as plain data, and what follows from it for each step and epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from edge.errors import UsageError


class Distillation(StrEnum):
    """What a student takes from its teacher: the class it names (DeiT, arXiv 2012.12877), or its whole distribution."""

    HARD = "hard"
    SOFT = "soft"


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """Hyperparameters of AdamW with warm-up, a cosine to 1 % of `lr`, and an average of the weights.

    `ema` is the decay of the average per step, 0 for none. `leak_epochs` are those in which the leaky activations of a
    deeply trained VanillaNet become linear. Raises `UsageError` for numbers that make no training.
    """

    epochs: int = 15
    batch_size: int = 64
    lr: float = 2e-3
    weight_decay: float = 0.05
    warmup_epochs: float = 1.5
    label_smoothing: float = 0.1
    mixup: float = 0.0
    cutmix: float = 0.0
    ema: float = 0.99
    distillation: Distillation = Distillation.HARD
    leak_epochs: int = 0
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        limits = {
            "epochs": self.epochs >= 1,
            "batch size": self.batch_size >= 2,  # batch norm needs two
            "lr": 0 < self.lr < math.inf,
            "weight decay": 0 <= self.weight_decay < math.inf,
            "warm-up epochs": 0 <= self.warmup_epochs < self.epochs,
            "label smoothing": 0 <= self.label_smoothing < 1,
            "mixup": 0 <= self.mixup < math.inf,
            "cutmix": 0 <= self.cutmix < math.inf,
            "ema": 0 <= self.ema < 1,
            "leak epochs": 0 <= self.leak_epochs < self.epochs,
        }
        for name, sound in limits.items():
            if not sound:
                value = getattr(self, name.replace("-", "").replace(" ", "_"))
                raise UsageError(f"{name} cannot be {value} in {self.epochs} epochs", hint="see edge train --help")

    def learning_rate(self, step: int, steps_per_epoch: int) -> float:
        """The rate of a step, counted from 0: up in a line, then down along half a cosine to 1 % of `lr`."""
        warmup = round(self.warmup_epochs * steps_per_epoch)
        if step < warmup:
            return self.lr * (step + 1) / warmup
        done = (step - warmup) / max(1, self.epochs * steps_per_epoch - warmup)
        return self.lr * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)

    def ema_decay(self, step: int) -> float:
        """The decay of a step, counted from 0: at first low, so that the random start is soon forgotten."""
        return min(self.ema, (1 + step) / (10 + step))


class Answers(StrEnum):
    """What a network is trained to answer with: the class of a picture, or a map for each of its tasks."""

    CLASSES = "classes"
    MAPS = "maps"


RECIPES: Mapping[Answers, TrainingRecipe] = {
    Answers.CLASSES: TrainingRecipe(),
    Answers.MAPS: TrainingRecipe(batch_size=8, lr=1e-3, label_smoothing=0.0),
}
"""What is done where the user does not say. Maps: eight pictures a step, as the moe_fpga sheet §1.3 has it; m3vit_mini learned more
from 3,600 views of scenes in steps of 8 than of 16 (mean IoU 0.325 and 0.300, depth 0.87 and 1.99 m)."""


def default_warmup_epochs(epochs: int) -> float:
    """A tenth of the run, and at most the five epochs of the papers."""
    return min(5.0, epochs / 10)


def default_leak_epochs(epochs: int) -> int:
    """A third of the run, as in VanillaNet's paper (100 of 300 epochs)."""
    return epochs // 3
