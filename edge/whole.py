"""Files and folders that appear whole or not at all: written under a temporary name, then renamed."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well, what was written there becomes `path`.

    Works for files and folders; an existing `path` is replaced. When the block fails, nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        written = staging / path.name
        yield written
        if path.is_dir() and not path.is_symlink():
            path.rename(staging / f"{path.name}.replaced")
        written.replace(path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def leftovers(path: Path) -> tuple[Path, ...]:
    """What was left beside `path` by processes that were killed while they wrote it."""
    return tuple(each for each in path.parent.iterdir() if each.name.startswith(f".{path.name}."))


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole."""
    with appearing(path) as staged, staged.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def files_in(path: Path) -> tuple[Path, ...]:
    """`path` itself when it is a file, else every file below it, sorted. A package is a folder to us, one model to others."""
    return (path,) if path.is_file() else tuple(sorted(file for file in path.rglob("*") if file.is_file()))


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(file.stat().st_size for file in files_in(path))


def sha256(path: Path) -> str:
    """The sha256 of a file; of a folder, the sha256 over the names and hashes of its files."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    lines = (f"{file.relative_to(path).as_posix()} {sha256(file)}\n" for file in files_in(path))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def copy(source: Path, target: Path) -> None:
    """Copy a file or folder; `target` appears whole."""
    with appearing(target) as staged:
        if source.is_dir():
            shutil.copytree(source, staged)
        else:
            shutil.copyfile(source, staged)
