"""What a folder holds: the exports that a report is about, and the training run that they were made from."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from edge import runfolder
from edge.errors import BadArtifactError, UsageError
from edge.export_folder import RECORD, recorded_request
from edge.models import point
from edge.report.facts import Epoch

METRICS = "metrics.jsonl"


@dataclass(frozen=True, slots=True)
class Found:
    """Folders with an `edge.json`, and the folder that `edge train` wrote, if there is one."""

    exports: tuple[Path, ...]
    run: Path | None


def find(folder: Path) -> Found:
    """Look for exports in `folder`, in the folders inside it, and, for a run, in the folders beside it.

    Raises `UsageError` when there are none.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", hint="give a folder that `edge export` or `edge train` wrote")
    own = folder if (folder / runfolder.RECORD).exists() else None
    exports = (folder,) if (folder / RECORD).exists() else _exports_in(folder)
    if not exports and own is not None:
        exports = tuple(beside for beside in _exports_in(folder.parent) if _run_of(beside) == folder.resolve())
    if not exports:
        raise UsageError(f"{folder} holds no exported files", hint=f"edge export MODEL --out {folder}")
    return Found(exports, own or _run_of(exports[0]))


def epochs(run: Path) -> tuple[Epoch, ...]:
    """The training curve in a run's `metrics.jsonl`; an epoch that was trained twice counts once.

    Raises `BadArtifactError`.
    """
    path, curve = run / METRICS, {}
    if not path.exists():
        return ()
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            fields = json.loads(line)
            epoch = Epoch(int(fields["epoch"]), _finite(fields["train_loss"]), _share(fields.get("accuracy")))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise BadArtifactError(f"{path} cannot be read: {error}", hint="train again") from None
        curve[epoch.number] = epoch
    return tuple(curve[number] for number in sorted(curve))


def _exports_in(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(record.parent for record in folder.glob(f"*/{RECORD}")))


def _run_of(export: Path) -> Path | None:
    reference = recorded_request(export).reference
    if point.claims(reference):
        return None
    run = Path(reference)
    return run.resolve() if (run / runfolder.RECORD).is_file() else None


def _finite(value: object) -> float:
    number = float(str(value))
    if not math.isfinite(number):
        raise ValueError(f"{value} is no finite number")
    return number


def _share(value: object) -> float | None:
    return None if value is None else _finite(value)
