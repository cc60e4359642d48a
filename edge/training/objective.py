"""What is minimised: cross-entropy with the labels, and agreement with a teacher."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from edge.training.recipe import Distillation

Answer = Tensor | tuple[Tensor, Tensor]
"""Logits (B, K), or those of the class head and of the distillation head."""


def objective(answer: Answer, targets: Tensor, *, label_smoothing: float) -> Tensor:
    """Without a teacher every head learns the labels: the mean cross-entropy with the class shares `targets` (B, K)."""
    heads = answer if isinstance(answer, tuple) else (answer,)
    losses = [F.cross_entropy(head, targets, label_smoothing=label_smoothing) for head in heads]
    return sum(losses[1:], losses[0]) / len(losses)


def distilled_objective(
    answer: Answer, targets: Tensor, teacher: Tensor, kind: Distillation, *, label_smoothing: float
) -> Tensor:
    """Half the cross-entropy of the class head with the labels, half the distillation head's loss with the teacher.

    `teacher` are its logits (B, K) on the same pictures. A network of one head learns both with it. The half and the
    temperature of 1 are EfficientFormer's own (arXiv 2206.01191).
    """
    labelled, taught = answer if isinstance(answer, tuple) else (answer, answer)
    own = F.cross_entropy(labelled, targets, label_smoothing=label_smoothing)
    return 0.5 * own + 0.5 * _LOSSES[kind](taught, teacher)


def _hard(student: Tensor, teacher: Tensor) -> Tensor:
    return F.cross_entropy(student, teacher.argmax(1))


def _soft(student: Tensor, teacher: Tensor) -> Tensor:
    return F.kl_div(student.log_softmax(1), teacher.log_softmax(1), reduction="batchmean", log_target=True)


_LOSSES = {Distillation.HARD: _hard, Distillation.SOFT: _soft}
