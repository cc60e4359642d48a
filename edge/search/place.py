"""Where a search runs: its folder with what is kept there, and the storage of its trials."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge import whole
from edge.errors import UsageError
from edge.search import storage as storages
from edge.search.order import SearchOrder
from edge.search.story import SETTINGS

TRIALS, SPENT, SUPERNET, LENT, PAGE = "trials.sqlite", "seconds.json", "supernet", "lent", "search.html"
"""Beside settings, latencies, the story and the networks: `lent` has the weights in which fine-tuning starts."""
PICTURES = "pictures_sha256"
STORAGE_VARIABLE = "EDGE_STORAGE"
"""Of the environment: where a URL with a password is out of sight."""


@dataclass(frozen=True, slots=True)
class Place:
    """A search's folder, the URL of its trials' storage (None: a file in the folder), the folder for the logs of worker
    processes, and the threads that decode pictures."""

    run: Path
    storage: str | None
    logs: Path
    workers: int = 1

    @property
    def url(self) -> str:
        """That of the storage; it may hold a password."""
        return storages.in_file(self.run / TRIALS) if self.storage is None else self.storage

    def claim(self, order: SearchOrder, pictures_sha256: str) -> None:
        """Make the folder, or take up the search in it. Raises `UsageError` when it holds something else."""
        path, asked = self.run / SETTINGS, {**order.settings(), PICTURES: pictures_sha256}
        if not path.exists():
            if self.run.exists() and (not self.run.is_dir() or {*self.run.iterdir()} - {*whole.leftovers(path)}):
                raise UsageError(f"{self.run} exists and is not a search", hint="give another --out")
            return whole.write_text(path, json.dumps(asked, indent=2) + "\n")
        found = _read(path)
        for name, value in asked.items():
            if found.get(name) != value:
                raise UsageError(
                    f"{self.run} holds a search whose {name.replace('_', ' ')} is {found.get(name)}, not {value}",
                    hint="give another --out, or the options of that search",
                )
        return None

    def claimed(self) -> tuple[SearchOrder, str]:
        """What the search in the folder was asked for, and the fingerprint of its pictures. Raises `UsageError`."""
        path = self.run / SETTINGS
        if not path.exists():
            raise UsageError(f"{self.run} holds no search", hint="begin it with `edge search` first, then join it")
        found = _read(path)
        return SearchOrder.from_settings(found), str(found[PICTURES])

    def spend(self, phase: str, seconds: float) -> None:
        """Add to the time of a phase, over all starts of the search but for those that were killed."""
        spent = self.spent()
        total = {**spent, phase: round(spent.get(phase, 0.0) + seconds, 1)}
        whole.write_text(self.run / SPENT, json.dumps(total) + "\n")

    def spent(self) -> dict[str, float]:
        """The time of each phase that was begun, in s."""
        path = self.run / SPENT
        return {phase: float(seconds) for phase, seconds in _read(path).items()} if path.exists() else {}


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return dict(found)
    except (OSError, TypeError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}", hint="give another --out") from None
