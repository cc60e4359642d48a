"""Brings the npm packages that the page runs: exact versions, checked against hashes, only the files that are used."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from edge import store, whole
from edge.errors import ToolchainMissingError

LOCK = Path(__file__).with_name("packages.toml")
FETCH_WITHIN_S = 600.0
TOP = "package/"
"""The folder that holds everything in a package of npm."""
AGAIN = "with a network and npm (apt-get install npm, or nodejs.org), run\n  python -m devices._browser"


class Runtime(StrEnum):
    """What executes a file in the page."""

    LITERT = "litert"
    ONNXRUNTIME = "onnxruntime"


@dataclass(frozen=True, slots=True)
class Package:
    """One package of npm at one version: `integrity` is npm's own (`sha512-` and base64), `files` are paths inside it."""

    name: str
    version: str
    licence: str
    integrity: str
    files: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where its files lie once they are here; another version or other contents lie elsewhere."""
        mark = hashlib.sha256("\n".join((self.integrity, *self.files)).encode()).hexdigest()[:8]
        return store.root().parent / "browser" / f"{self.name.replace('/', '-')}-{self.version}-{mark}"


def locked(runtime: Runtime) -> tuple[Package, ...]:
    """The packages of a runtime, the one that it is named after first."""
    entries = tomllib.loads(LOCK.read_text(encoding="utf-8"))[runtime]
    return tuple(Package(**{**entry, "files": tuple(entry["files"])}) for entry in entries)


def missing(runtime: Runtime) -> tuple[Package, ...]:
    """The packages of a runtime that are not here yet."""
    return tuple(package for package in locked(runtime) if not package.folder.is_dir())


def bring(runtime: Runtime) -> dict[str, Path]:
    """The files of a runtime by package and path (`onnxruntime-web/dist/…`), brought by npm where they are not here yet.

    Raises `ToolchainMissingError`: no npm, no network, or contents that are not those of the lock.
    """
    for package in missing(runtime):
        _bring(package)
    return {f"{package.name}/{file}": package.folder / file for package in locked(runtime) for file in package.files}


def _bring(package: Package) -> None:
    with tempfile.TemporaryDirectory(prefix="edge-npm-") as scratch, whole.appearing(package.folder) as staged:
        archive = _packed(package, Path(scratch))
        _check(package, archive)
        _unpack(package, archive, staged)


def _packed(package: Package, folder: Path) -> Path:
    """The package as npm downloads it, which runs nothing of it."""
    what = f"{package.name}@{package.version}"
    npm = shutil.which("npm")
    if npm is None:
        raise ToolchainMissingError(f"{what} is not in the cache, and there is no npm to bring it", hint=AGAIN)
    command = [npm, "pack", what, "--ignore-scripts", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=FETCH_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainMissingError(f"npm could not bring {what}: {error}", hint=AGAIN) from error
    found = sorted(folder.glob("*.tgz"))
    if done.returncode != 0 or len(found) != 1:
        said = "\n".join(f"  | {line}" for line in done.stderr.splitlines() if "error" in line.lower())
        raise ToolchainMissingError(f"npm could not bring {what}", hint=f"{AGAIN}\n{said}".rstrip())
    return found[0]


def _check(package: Package, archive: Path) -> None:
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if package.integrity != f"sha512-{digest}":
        raise ToolchainMissingError(
            f"what npm brought as {package.name}@{package.version} is not what edge was tested with",
            hint=f"sha512 is {digest}: does a mirror or proxy change packages?",
        )


def _unpack(package: Package, archive: Path, folder: Path) -> None:
    """Write the files that are used, under our names of them: no name and no link inside the archive decides a path."""
    with tarfile.open(archive, "r:gz") as opened:
        members = {member.name: member for member in opened if member.isreg()}
        for file in package.files:
            contents = opened.extractfile(members[TOP + file]) if TOP + file in members else None
            if contents is None:
                raise ToolchainMissingError(f"{package.name}@{package.version} holds no file {file}", hint=AGAIN)
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(contents.read())
