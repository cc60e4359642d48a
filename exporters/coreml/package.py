"""The folder that an ML package is: written the same way every time, and read without trusting it."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge.errors import BadArtifactError
from exporters.coreml.proto import model_class

AUTHOR = "com.apple.CoreML"
MANIFEST = "Manifest.json"
MODEL = f"{AUTHOR}/model.mlmodel"
WEIGHTS = f"{AUTHOR}/weights"
LARGEST_MANIFEST_BYTES = 2**20
LARGEST_MODEL_BYTES = 2**28
"""Weights lie beside the model, so it holds only the program: the largest network here needs under 1 MiB."""
AGAIN = "export the model again"


def write(path: Path, model: Any, weights: Path) -> None:
    """Write the package `path` from a `Model` message and the folder of its weights; equal arguments, equal bytes."""
    data = path / "Data"
    (data / AUTHOR).mkdir(parents=True)
    (data / MODEL).write_bytes(model.SerializeToString(deterministic=True))
    entries = [_entry("Specification", MODEL, data)]
    if any(weights.iterdir()):
        shutil.copytree(weights, data / WEIGHTS, copy_function=shutil.copyfile)
        entries.append(_entry("Weights", WEIGHTS, data))
    items = {_identifier(data / entry["path"]): entry for entry in entries}
    root = next(iter(items))
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": items, "rootModelIdentifier": root}
    (path / MANIFEST).write_text(json.dumps(manifest, indent=4, sort_keys=True) + "\n", encoding="utf-8")


def read(path: Path) -> Any:
    """The `Model` message of the package `path`: an ML Program. Raises `BadArtifactError`; opens nothing outside `path`."""
    from google.protobuf.message import DecodeError

    file = model_file(path)
    try:
        model = model_class().FromString(_bounded(file, LARGEST_MODEL_BYTES))
    except DecodeError as error:
        raise BadArtifactError(f"{path.name}: the model inside cannot be read: {error}", hint=AGAIN) from None
    kind = model.WhichOneof("Type")
    if kind != "mlProgram":
        found = f"a model of type {kind}" if kind else "no model"
        raise BadArtifactError(
            f"{path.name} holds {found}, not an ML Program", hint="older and encrypted models cannot be read here"
        )
    if not any(function.block_specializations for function in model.mlProgram.functions.values()):
        raise BadArtifactError(f"{path.name} holds an ML Program without operations", hint=AGAIN)
    return model


def model_file(path: Path) -> Path:
    """Where the manifest of `path` says the model is. Raises `BadArtifactError` when that is not inside `path`."""
    if not path.is_dir():
        raise BadArtifactError(f"{path.name} is not an ML package: that is a folder", hint=AGAIN)
    try:
        manifest = json.loads(_bounded(inside(path, MANIFEST), LARGEST_MANIFEST_BYTES))
        items = manifest["itemInfoEntries"]
        files = {str(name): inside(path, f"Data/{entry['path']}") for name, entry in items.items()}
        return files[manifest["rootModelIdentifier"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadArtifactError(f"{path.name}: {MANIFEST} cannot be read: {error!r}", hint=AGAIN) from None


def inside(path: Path, name: str) -> Path:
    """`name` below `path`, links followed. Raises `BadArtifactError` when it is missing or leaves the package."""
    try:
        found = (path / name).resolve(strict=True)
        if found.is_relative_to(path.resolve()):
            return found
    except (OSError, ValueError, RuntimeError):
        raise BadArtifactError(f"{path.name} lacks {name!r}", hint=AGAIN) from None
    raise BadArtifactError(f"{path.name}: {name!r} leads out of the package", hint="do not trust this file")


def operations(model: Any) -> Iterator[Any]:
    """Every operation of an ML Program: of all its functions, and of the blocks inside operations."""
    blocks = [
        block for function in model.mlProgram.functions.values() for block in function.block_specializations.values()
    ]
    while blocks:
        for operation in blocks.pop().operations:
            yield operation
            blocks.extend(operation.blocks)


def _bounded(file: Path, largest_bytes: int) -> bytes:
    if not file.is_file():
        raise BadArtifactError(f"{file.name} is not a file", hint=AGAIN)
    if file.stat().st_size > largest_bytes:
        raise BadArtifactError(f"{file.name} is larger than {largest_bytes} bytes", hint=AGAIN)
    return file.read_bytes()


def _entry(noun: str, location: str, data: Path) -> dict[str, str]:
    return {
        "author": AUTHOR, "description": f"CoreML Model {noun}", "name": (data / location).name, "path": location,
    }  # fmt: skip


def _identifier(item: Path) -> str:
    """A UUID made of the item's content where Apple's writer takes a random one."""
    digest = hashlib.sha256(item.name.encode())
    for file in sorted(file for file in (item, *item.rglob("*")) if file.is_file()):
        digest.update(file.read_bytes())
    return str(uuid.UUID(bytes=digest.digest()[:16], version=4)).upper()
