"""Debian's packages, unpacked into a folder: by an apt whose state is all there, so that nothing is installed here."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from platformdirs import user_cache_path

SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
APT_S, UNPACK_S = 120, 60


class UnavailableError(Exception):
    """It cannot be had here; the text says why, and what would bring it."""


def cache() -> Path:
    """Where what is made of packages is kept."""
    return Path(os.environ.get("EDGE_CACHE") or user_cache_path("edge-toolchain"))


def release() -> str:
    """The name of this machine's system, such as `bookworm`."""
    lines = Path("/etc/os-release").read_text().splitlines()
    return next(
        (line.partition("=")[2].strip('"') for line in lines if line.startswith("VERSION_CODENAME=")), "unknown"
    )


def unpack(packages: Sequence[str], folder: Path, root: Path, options: dict[str, str]) -> None:
    """Download packages into `folder`, by apt with more `options`, and unpack them as `root`; their names are in
    `root/packages`. Raises `UnavailableError`.
    """
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    state = {
        "APT::Sandbox::User": "root",
        "Dir::State::lists": str(folder / "lists"),
        "Dir::State::status": str(folder / "status"),
        "Dir::Cache::archives": str(folder / "archives"),
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        **options,
    }
    apt = ("apt-get", "-qq", *(word for name, value in state.items() for word in ("-o", f"{name}={value}")))
    run((*apt, "update"), folder, APT_S)
    run((*apt, "download", *packages), folder, APT_S)
    files = sorted(folder.glob("*.deb"))
    for file in files:
        run(("dpkg-deb", "-x", str(file), str(root)), folder, UNPACK_S)
    (root / "packages").write_text("".join(f"{file.name}\n" for file in files))


def of_suite(suite: str, folder: Path) -> dict[str, str]:
    """The options with which apt takes packages of another suite of this machine's Debian, such as its backports."""
    if not SOURCES.is_file():
        raise UnavailableError(f"{suite}: this machine has no {SOURCES}")
    stanza = SOURCES.read_text().split("\n\n")[0].splitlines()
    ours = folder / "parts" / "ours.sources"
    ours.parent.mkdir()
    suites = f"Suites: {release()} {suite}"
    ours.write_text("\n".join(suites if line.startswith("Suites:") else line for line in stanza) + "\n")
    return {
        "Dir::Etc::sourcelist": os.devnull,
        "Dir::Etc::sourceparts": str(ours.parent),
        "APT::Default-Release": suite,
    }


def run(command: Sequence[str], folder: Path, timeout_s: float) -> str:
    """What the command printed. Raises `UnavailableError`, also where it takes too long or is not installed."""
    if shutil.which(command[0]) is None:
        raise UnavailableError(f"{command[0]} is not installed: make device-tools")
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{command[0]} took longer than {timeout_s} s") from error
    if done.returncode != 0:
        raise UnavailableError(f"{command[0]}: {done.stderr.strip()[-300:]}")
    return done.stdout
