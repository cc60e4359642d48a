"""A request for a model, as the user typed it: which network, which weights, which head and input size."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from edge import whole
from edge.errors import UsageError, WeightsError
from edge.models import hub, point
from edge.models.catalog import CATALOG
from edge.suggest import unknown
from edge.toolchain import installed_version

TIMM_PREFIX = "timm:"


class Kind(StrEnum):
    """The forms that a model reference may have."""

    CATALOG = "a name of `edge models`"
    TIMM = "timm:NAME"
    POINT = "point:FILE.json"
    RUN = "a run folder"
    FACTORY = "module:factory"


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """Plain data: nothing is imported or read until `edge.models.sources.resolve` is called.

    `reference` is a name of the catalog, `timm:NAME[.tag]`, `point:FILE.json` or `point:{…}` (a point of a search space),
    `package.module:factory`, `file.py:factory`, or a folder that `edge train` or `edge search` wrote. The rest are the user's
    overrides; None means the model's own. `experts_of` is a folder of pictures: of a mixture of experts, those that they
    visit are kept.
    """

    reference: str
    weights: Path | None = None
    pretrained: bool = False
    num_classes: int | None = None
    image_size: tuple[int, int] | None = None  # (height, width)
    labels: Path | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    seed: int = 0
    experts_of: Path | None = None

    @property
    def kind(self) -> Kind:
        """The first form that the reference has. Raises `UnknownNameError` with the nearest names, or `UsageError`."""
        for kind, claims in _CLAIMS.items():
            if claims(self.reference):
                return kind
        if "/" in self.reference or Path(self.reference).exists():
            raise UsageError(f"{self.reference!r} is no folder that edge wrote", hint=f"a model is {', '.join(Kind)}")
        raise unknown("model", self.reference, (row.name for row in CATALOG))


_CLAIMS: Mapping[Kind, Callable[[str], bool]] = {
    Kind.CATALOG: lambda reference: any(row.name == reference for row in CATALOG),
    Kind.TIMM: lambda reference: reference.startswith(TIMM_PREFIX),
    Kind.POINT: point.claims,
    Kind.RUN: lambda reference: Path(reference).is_dir(),
    Kind.FACTORY: lambda reference: ":" in reference,
}
"""Which references each kind takes; the first that does wins, so a folder never hides a name of ours."""


def fingerprint(request: ModelRequest) -> str | None:
    """The sha256 of everything that determines the model, found without building it; None when that cannot be known.

    The sources of `edge` are left out: the store hashes them apart. A user's factory may do anything, so it has none.
    Raises what `ModelRequest.kind`, `edge.runfolder.read` and `edge.models.point.content` raise.
    """
    if request.experts_of is not None:  # the pictures would have to be read
        return None
    origin = _ORIGINS[request.kind](request)
    if origin is None:
        return None
    try:
        files = {
            name: _named_content(path) for name, path in (("weights", request.weights), ("labels", request.labels))
        }
    except OSError:  # resolving the request will say which file is unreadable, and why
        return None
    parts = {**asdict(request), **files, "origin": origin}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _named_content(path: Path | None) -> list[str] | None:
    if path is None:
        return None
    with path.open("rb") as file:
        return [path.name, hashlib.file_digest(file, "sha256").hexdigest()]


def _of_catalog(request: ModelRequest) -> object:
    """The published weights count when they are in the hub's cache; before they are fetched nothing is known."""
    if not request.pretrained:
        return []
    try:
        path = hub.cached(hub.published(request.reference).repository)
    except WeightsError:
        return None
    return None if path is None else [whole.sha256(path)]


def _of_timm(request: ModelRequest) -> object:
    """timm alone knows which published weights a name stands for, so with them nothing is known."""
    return None if request.pretrained else [installed_version("timm")]


def _of_point(request: ModelRequest) -> object:
    return [point.content(request.reference)]


def _of_run(request: ModelRequest) -> object:
    from edge import runfolder  # reads pictures' preprocessing, which `edge --help` must not wait for

    folder = Path(request.reference)
    network = fingerprint(runfolder.network(folder, runfolder.read(folder), request))
    weights = folder / runfolder.WEIGHTS
    if network is None or not weights.is_file():
        return None
    return [network, whole.sha256(folder / runfolder.RECORD), whole.sha256(weights)]


def _of_factory(_: ModelRequest) -> object:
    return None


_ORIGINS: Mapping[Kind, Callable[[ModelRequest], object]] = {
    Kind.CATALOG: _of_catalog,
    Kind.TIMM: _of_timm,
    Kind.POINT: _of_point,
    Kind.RUN: _of_run,
    Kind.FACTORY: _of_factory,
}
"""What determines the model beyond the request itself, as JSON data; None when unknown."""
