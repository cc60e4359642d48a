"""One loss per task on raw network maps, with the weights that add them up (moe_fpga sheet §1.3).

Every loss is `loss(prediction, target)`: the network's map (B, C, H, W) and the stacked maps of a batch of `Scene`s, so
(B, H, W), or (B, H, W, 3) for normals. Each is a mean over the known pixels of the batch; of none, it is zero and still
has a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from edge.dense.data import IGNORE

Loss = Callable[[Tensor, Tensor], Tensor]

EDGE_POSITIVE_WEIGHT = 0.95
"""The weight of a pixel that is an edge; any other has the rest of 1."""


def seg_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of class logits (B, classes, H, W)."""
    known = (target != IGNORE).sum()
    summed = F.cross_entropy(prediction, target.long(), ignore_index=IGNORE, reduction="sum")
    return summed / known.clamp(min=1)


def depth_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Absolute difference, in the target's unit."""
    known = torch.isfinite(target)
    return _mean((prediction[:, 0][known] - target[known]).abs())


def normals_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Absolute difference per component, after the prediction is scaled to length 1."""
    known = torch.isfinite(target).all(dim=-1)
    unit = F.normalize(prediction.permute(0, 2, 3, 1)[known], dim=-1, eps=1e-6)
    return _mean((unit - target[known]).abs())


def edges_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of logits, edges weighing `EDGE_POSITIVE_WEIGHT` and the others the rest of 1."""
    logits, truth = _known_logits(prediction, target)
    return _weighted_cross_entropy(logits, truth, torch.full_like(truth.sum(), EDGE_POSITIVE_WEIGHT))


def saliency_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of logits in which both values weigh the same, however many pixels of the batch have them."""
    logits, truth = _known_logits(prediction, target)
    return _weighted_cross_entropy(logits, truth, (1 - truth).sum() / max(truth.numel(), 1))


LOSSES: Mapping[str, Loss] = {
    "seg": seg_loss,
    "depth": depth_loss,
    "normals": normals_loss,
    "edges": edges_loss,
    "saliency": saliency_loss,
}

WEIGHTS: Mapping[str, float] = {"seg": 1.0, "depth": 1.0, "normals": 10.0, "edges": 50.0, "saliency": 5.0}
"""What each loss is multiplied by before they are added. PASCAL and NYUD agree wherever both have the task, so this one
table serves both, and the scenes, which have every task."""


def _known_logits(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    known = target != IGNORE
    return prediction[:, 0][known], target[known].to(prediction.dtype)


def _weighted_cross_entropy(logits: Tensor, truth: Tensor, positive: Tensor) -> Tensor:
    weights = truth * positive + (1 - truth) * (1 - positive)
    return _mean(F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * weights)


def _mean(values: Tensor) -> Tensor:
    return values.sum() / max(values.numel(), 1)
