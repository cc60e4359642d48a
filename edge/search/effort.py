"""How much work a search may do: three sizes, from a test to a day."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Effort:
    """`supernet_epochs` and `final_epochs` of training, before the search and of each network that it found.

    `calibration` pictures set the batch norms of a network before it is evaluated. `evaluations` bounds the strategies that
    have no end of their own, `population` is that of evolution, and slimming anchors its path to the device after every
    `anchor_every` actions.
    """

    supernet_epochs: int
    final_epochs: int
    calibration: int
    evaluations: int
    population: int
    anchor_every: int


class EffortName(StrEnum):
    """What the user types."""

    TINY = "tiny"
    SMALL = "small"
    FULL = "full"


EFFORTS = {
    EffortName.TINY: Effort(2, 2, 64, 16, 8, 8),
    EffortName.SMALL: Effort(20, 10, 128, 400, 40, 8),
    EffortName.FULL: Effort(300, 300, 4096, 2000, 100, 8),
}
"""Tiny is for tests, small for thousands of small pictures on two cores, full for a data set of ImageNet's kind (300 epochs are
the papers', models.md §1.3; all else is ours: the sheet's 50 to 100 batches of calibration are 4096 pictures)."""
