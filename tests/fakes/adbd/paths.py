"""A path of the phone is a path inside its folder, whatever its links say."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

MOST_LINKS = 40


class OutsideError(Exception):
    """A path that climbs out of the phone."""


def resolved(root: Path, path: str) -> Path:
    """Where `path` of the phone lies on this machine; all links but a last one are followed as the phone would.

    Raises `OutsideError` for one that climbs above `/`, or goes round in links.
    """
    waiting, here, links = list(reversed(PurePosixPath("/", path).parts[1:])), root, 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            if here == root:
                raise OutsideError(f"{path}: outside the phone")
            here = here.parent
            continue
        here = here / part
        if here.is_symlink() and waiting:
            links += 1
            if links > MOST_LINKS:
                raise OutsideError(f"{path}: too many links")
            target = PurePosixPath(here.readlink())
            here = root if target.is_absolute() else here.parent
            waiting += reversed([part for part in target.parts if part != "/"])
    return here
