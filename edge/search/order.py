"""What `edge search` was asked for, as plain data: all of it decides the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from edge.errors import UsageError
from edge.search.budget import Limit, limits
from edge.search.effort import EFFORTS, Effort, EffortName
from edge.spec import Precision

TABLE = "table:"
"""Before the path of a latency table, where a device is asked for."""


class Finish(StrEnum):
    """How the chosen networks get their weights: from the supernet, which also teaches them, or from scratch."""

    FINETUNE = "finetune"
    SCRATCH = "scratch"


@dataclass(frozen=True, slots=True)
class SearchOrder:
    """Everything that decides what a search finds. `latency` is the text of its budgets, `device` an address or `table:FILE`.

    `params` and `macs` are the most that a deployed network may have, None for no limit; `image_size` is (height, width).
    """

    space: str
    data: str
    latency: str
    device: str
    target: str
    image_size: tuple[int, int]
    precision: Precision = Precision.FP32
    threads: int = 1
    params: int | None = None
    macs: int | None = None
    effort: EffortName = EffortName.SMALL
    strategy: str = "slimming"
    finish: Finish = Finish.FINETUNE
    seed: int = 0

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The budgets as typed. Raises `UsageError`."""
        return limits(self.latency)

    @property
    def work(self) -> Effort:
        """How much may be done."""
        return EFFORTS[self.effort]

    @property
    def table(self) -> Path | None:
        """The latency table that is asked for in place of a device."""
        return Path(self.device.removeprefix(TABLE)) if self.device.startswith(TABLE) else None

    def settings(self) -> dict[str, Any]:
        """As JSON data; a search is taken up only with the same."""
        return {**asdict(self), "image_size": list(self.image_size)}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> SearchOrder:
        """The inverse of `settings`, which may say more. Raises `UsageError`."""
        try:
            fields = {name: settings[name] for name in cls.__slots__}
            height, width = fields.pop("image_size")
            kinds = {"precision": Precision, "effort": EffortName, "finish": Finish}
            return cls(
                **{
                    **fields,
                    **{name: kind(fields[name]) for name, kind in kinds.items()},
                    "image_size": (height, width),
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"these are no settings of a search: {error!r}", hint="give another --out") from None
