"""The folder of one export: the files, `labels.txt`, and `edge.json`, which records all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge import whole
from edge.artifact import Artifact
from edge.card import TensorSpec
from edge.errors import BadArtifactError, UsageError
from edge.models import point
from edge.reference import ModelRequest
from edge.spec import Precision

SCHEMA = "edge.export/1"
RECORD = "edge.json"
LABELS = "labels.txt"


def file_stem(reference: str) -> str:
    """A model reference as a file name: `timm:resnet18.a1_in1k` → `timm_resnet18.a1_in1k`, a path → its last part."""
    if point.claims(reference):
        reference = point.stem(reference)
    last = Path(reference).name if "/" in reference else reference
    return re.sub(r"[^A-Za-z0-9._-]+", "_", last.replace(".py:", "_")).strip("._") or "model"


def folder_name(stem: str, precision: Precision, first_input: TensorSpec) -> str:
    """`MODEL-PRECISION-HxW`; for an input that is no picture, all its sizes after the batch."""
    sizes = first_input.shape[2:] if len(first_input.shape) == 4 else first_input.shape[1:]
    return f"{stem}-{precision}-{'x'.join(str(size) for size in sizes)}"


@dataclass(frozen=True, slots=True)
class ExportFolder:
    """Where the files of one model, precision and size go. Nothing that exists there is replaced unless forced.

    `labels` are the lines of `labels.txt`; without any there is no such file.
    """

    path: Path
    request: ModelRequest
    labels: tuple[str, ...]

    def refuse_overwriting(self, files: Mapping[str, str], *, force: bool) -> None:
        """Raise `UsageError` when a file exists whose sha256 is not the given one (empty: any), unless `force`."""
        taken = [
            name
            for name, sha256 in files.items()
            if (self.path / name).exists() and whole.sha256(self.path / name) != sha256
        ]
        if taken and not force:
            raise UsageError(
                f"{self.path / taken[0]} exists and is another file",
                hint="give another --out, or --force to replace it",
            )
        if not force and self._recorded() and self._recorded()["request"] != self._request_fields():
            raise UsageError(
                f"{self.path} holds an export of another model", hint="give another --out, or --force to replace it"
            )

    def place(self, source: Path, name: str) -> Path:
        """Copy a finished file in; it appears whole."""
        target = self.path / name
        if not (target.exists() and whole.sha256(target) == whole.sha256(source)):
            whole.copy(source, target)
        return target

    def record(self, artifacts: Sequence[Artifact]) -> None:
        """Write `labels.txt` and `edge.json`; files recorded earlier and still there stay recorded."""
        made = [artifact.fields(self.path) for artifact in artifacts]
        replaced = {fields["path"] for fields in made}
        same_model = self._recorded().get("request") == self._request_fields()
        earlier = self._recorded().get("artifacts", ()) if same_model else ()
        kept = [row for row in earlier if row["path"] not in replaced and (self.path / Path(row["path"]).name).exists()]
        if self.labels:
            whole.write_text(self.path / LABELS, "".join(f"{label}\n" for label in self.labels))
        document = {
            "schema": SCHEMA,
            "request": self._request_fields(),
            "artifacts": sorted(kept + made, key=lambda fields: str(fields["target"])),
        }
        whole.write_text(self.path / RECORD, json.dumps(document, indent=2) + "\n")

    def _request_fields(self) -> dict[str, Any]:
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in _plain(asdict(self.request)).items()
        }

    def _recorded(self) -> dict[str, Any]:
        return read_record(self.path) if (self.path / RECORD).exists() else {}


def read_record(folder: Path) -> dict[str, Any]:
    """`edge.json` of a folder. Raises `BadArtifactError` when it is missing or not ours."""
    try:
        document: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if document["schema"] == SCHEMA and all(isinstance(row["path"], str) for row in document["artifacts"]):
            return {**document, "request": dict(document["request"])}
        problem = f"not of schema {SCHEMA}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = str(error)
    raise BadArtifactError(
        f"{folder / RECORD} cannot be read: {problem}", hint="give a folder that `edge export` wrote"
    )


def recorded_files(folder: Path) -> tuple[Path, ...]:
    """The model files that `edge.json` lists, all inside the folder. Raises `BadArtifactError`."""
    files = tuple(folder / Path(fields["path"]).name for fields in read_record(folder)["artifacts"])
    if absent := [file.name for file in files if not file.exists()]:
        raise BadArtifactError(f"{folder} lacks {', '.join(absent)}", hint="export the model again")
    return files


def recorded_request(folder: Path) -> ModelRequest:
    """The model that a folder's files were made from. Raises `BadArtifactError`."""
    fields = read_record(folder)["request"]
    try:
        named = {name: fields.get(name) for name in ("weights", "labels", "experts_of")}
        paths = {name: None if path is None else Path(path) for name, path in named.items()}
        tuples = {name: _tuple(fields[name]) for name in ("image_size", "mean", "std")}
        return ModelRequest(**{**fields, **paths, **tuples})
    except (KeyError, TypeError, ValueError) as error:
        raise BadArtifactError(
            f"{folder / RECORD} names no usable model: {error}", hint="give --against MODEL"
        ) from None


def _tuple(values: Iterable[Any] | None) -> Any:
    return None if values is None else tuple(values)


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
