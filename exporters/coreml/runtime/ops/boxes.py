"""Non-maximum suppression: of boxes that overlap much, the one of the highest score."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.coreml.runtime.ops.sizes import affordable
from exporters.coreml.runtime.ops.table import Table, family, flag, integer, number

TABLE: Table = {}
operator = family(TABLE)


@operator("non_maximum_suppression")
def non_maximum_suppression(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: Tensor,
    max_boxes: Tensor,
    score_threshold: Tensor | None = None,
    per_class_suppression: Tensor | bool = False,
    opset: int = 15,
) -> tuple[Tensor, ...]:
    """boxes (n, B, 4) as centre and size, scores (n, B, K); from iOS 17 on the boxes stand last and no count is returned.

    Rows that no box fills are 0, their index -1. A picture without any box above the threshold still gives its best one.
    """
    boxes_last = opset >= 17
    if boxes_last:
        boxes, scores = boxes.transpose(1, 2), scores.transpose(1, 2)
    least = number(score_threshold) if score_threshold is not None else float("-inf")
    most = integer(max_boxes)
    affordable((len(boxes), most, max(4, scores.shape[2])))
    kept_boxes, kept_scores = boxes.new_zeros(len(boxes), most, 4), scores.new_zeros(len(boxes), most, scores.shape[2])
    places = torch.full((len(boxes), most), -1)
    counts = torch.zeros(len(boxes), dtype=torch.int64)
    for picture in range(len(boxes)):
        kept = _kept(boxes[picture], scores[picture], number(iou_threshold), least, flag(per_class_suppression), most)
        counts[picture] = len(kept)
        kept_boxes[picture, : len(kept)] = boxes[picture, kept]
        kept_scores[picture, : len(kept)] = scores[picture, kept]
        places[picture, : len(kept)] = torch.tensor(kept)
    if boxes_last:
        return kept_boxes.transpose(1, 2), kept_scores.transpose(1, 2), places
    return kept_boxes, kept_scores, places, counts


def _kept(boxes: Tensor, scores: Tensor, overlap: float, least: float, within_class: bool, most: int) -> list[int]:
    """Indices of the boxes that stay, best first."""
    best, classes = scores.max(-1)
    alive = best >= least
    kept: list[int] = []
    for index in best.argsort(descending=True, stable=True).tolist():
        if len(kept) == most:
            break
        if not alive[index]:
            continue
        kept.append(index)
        rivals = _iou(boxes[index], boxes) > overlap
        alive &= ~(rivals & (classes == classes[index]) if within_class else rivals)
    return kept or [int(best.argmax())][:most]


def _iou(box: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union of one box with each, as centre and size."""
    centre, size = boxes[:, :2], boxes[:, 2:]
    high = torch.minimum(centre + size / 2, box[:2] + box[2:] / 2)
    low = torch.maximum(centre - size / 2, box[:2] - box[2:] / 2)
    shared = (high - low).clamp(min=0).prod(1)
    return shared / (size.prod(1) + box[2:].prod() - shared)
