"""How well a network answers held-out pictures: one share where one number says it, and a metric per task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class TaskMetric:
    """What was measured of one task: `value` in `unit` (empty for a share 0..1), None where no pixel is known."""

    name: str
    value: float | None
    unit: str
    higher_is_better: bool

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Build from plain data. Raises `TypeError` and `ValueError`."""
        value = fields.get("value")
        return cls(**{**fields, "value": None if value is None else float(value)})

    @property
    def words(self) -> str:
        """As in `RMSE 0.512 m`."""
        number = "unknown" if self.value is None else f"{self.value:.3g} {self.unit}".rstrip()
        return f"{self.name} {number}"


@dataclass(frozen=True, slots=True)
class Score:
    """`accuracy` is the share 0..1 of pictures or pixels that sums a run up, None where no such share is; `metrics` by task.

    For classes it is the share of pictures whose class is right. For maps it is the mean IoU of the segmentation.
    """

    accuracy: float | None
    metrics: Mapping[str, TaskMetric] = field(default_factory=dict)
