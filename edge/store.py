"""Exported files by content: the same model, recipe, tools and sources are converted once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from platformdirs import user_cache_dir

from edge import whole

ENTRY = "entry.json"


def root() -> Path:
    """The cache folder: `EDGE_CACHE`, or the system's place for caches."""
    return Path(os.environ.get("EDGE_CACHE") or user_cache_dir("edge-toolchain")) / "exports"


def key(parts: Mapping[str, Any]) -> str:
    """The sha256 that names an entry: of everything that decides the bytes of a file, this package's sources included."""
    text = json.dumps({**parts, "sources": sources()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def find(entry_key: str) -> tuple[Path, dict[str, Any]] | None:
    """The stored file and what was recorded of it, or None when absent or damaged (then the entry is dropped)."""
    folder = root() / entry_key[:2] / entry_key
    try:
        entry: dict[str, Any] = json.loads((folder / ENTRY).read_text(encoding="utf-8"))
        path = folder / Path(entry["file"]).name
        if whole.sha256(path) == entry["sha256"]:
            return path, entry["record"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    return None


def put(entry_key: str, path: Path, record: Mapping[str, Any]) -> None:
    """Store a file with its record; the entry appears whole."""
    with whole.appearing(root() / entry_key[:2] / entry_key) as folder:
        folder.mkdir()
        whole.copy(path, folder / path.name)
        entry = {"file": path.name, "sha256": whole.sha256(path), "record": record}
        whole.write_text(folder / ENTRY, json.dumps(entry, sort_keys=True))


@cache
def sources() -> str:
    """The sha256 over the Python sources of `edge` and `exporters`: a changed pass or model makes new files."""
    digest = hashlib.sha256()
    for package in ("edge", "exporters"):
        spec = find_spec(package)
        folder = Path(spec.origin).parent if spec is not None and spec.origin else Path(package)
        for file in sorted(folder.rglob("*.py")):
            digest.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()
