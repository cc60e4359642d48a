"""Finds LiteRT's library for a target: in the installed wheel, in a wheel for arm64, or in Android's archive."""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from devices._runners import native
from devices._runners.target import Target
from edge import whole
from edge.errors import ToolchainMissingError
from edge.toolchain import installed_version

RELEASE = "2.3"
"""The release whose C functions the runner declares; their arguments differ in others (devices sheet §3.2)."""
WHEEL = "ai-edge-litert"
LIBRARY = "libLiteRt.so"
ANDROID = "EDGE_LITERT_ANDROID"
PLATFORMS = ("manylinux_2_27_aarch64", "manylinux_2_28_aarch64", "manylinux2014_aarch64")


@dataclass(frozen=True, slots=True)
class Runtime:
    """LiteRT's library for a target, and its version."""

    path: Path
    version: str


def runtime(target: Target) -> Runtime:
    """LiteRT's library for `target`. Raises `ToolchainMissingError`, which says exactly how to get it."""
    if target is Target.ANDROID_ARM64:
        return _of_archive()
    version = _supported(installed_version(WHEEL), f"the installed {WHEEL}")
    if target is _here():
        return Runtime(_installed(), version)
    if target is Target.LINUX_ARM64:
        return _of_wheel(version)
    raise ToolchainMissingError(
        f"there is no {LIBRARY} for {target} on this machine", hint="bring your own runner with --runner FOLDER"
    )


def download_command(version: str) -> tuple[str, ...]:
    """The command that brings the wheel for arm64 into the cache, where `runtime` looks for it."""
    platforms = (word for name in PLATFORMS for word in ("--platform", name))
    return (
        *(sys.executable, "-m", "pip", "download", "--only-binary=:all:", "--no-deps", "--python-version", "3.11"),
        *(*platforms, "--dest", str(_wheels()), f"{WHEEL}=={version}"),
    )


def _wheels() -> Path:
    return native.cache() / "wheels"


def _here() -> Target | None:
    """What this machine is, where its wheel has the library."""
    return {("linux", "x86_64"): Target.LINUX_X86_64, ("linux", "aarch64"): Target.LINUX_ARM64}.get(
        (sys.platform, platform.machine())
    )


def _installed() -> Path:
    spec = find_spec("ai_edge_litert")
    path = Path(spec.origin).parent / LIBRARY if spec is not None and spec.origin else Path(LIBRARY)
    if not path.exists():
        raise ToolchainMissingError(f"the installed {WHEEL} has no {LIBRARY}", hint=_install())
    return path


def _of_wheel(version: str) -> Runtime:
    name = re.compile(rf"{WHEEL.replace('-', '_')}-{re.escape(version)}-.*aarch64\.whl")
    found = sorted(path for path in _wheels().glob("*.whl") if name.fullmatch(path.name))
    if not found:
        raise ToolchainMissingError(
            f"{LIBRARY} {version} for {Target.LINUX_ARM64} is not in the cache",
            hint=f"bring it there once, with a network:\n  {shlex.join(download_command(version))}",
        )
    return Runtime(_unpacked(found[-1], f"ai_edge_litert/{LIBRARY}", Target.LINUX_ARM64), version)


def _of_archive() -> Runtime:
    given = Path(os.environ.get(ANDROID) or "")
    match = re.fullmatch(r"litert-(\d+(?:\.\d+)+)\.aar", given.name)
    if match is None or not given.is_file():
        raise ToolchainMissingError(
            f"{LIBRARY} for Android comes from LiteRT's archive, and {ANDROID} names none",
            hint=f"take litert-{RELEASE}.0.aar (com.google.ai.edge.litert:litert) from Google's Maven repository, keep its\n"
            f"name, and export {ANDROID}=/path/to/litert-{RELEASE}.0.aar. Not tried by us: no NDK and no phone there",
        )
    version = _supported(match[1], str(given))
    return Runtime(_unpacked(given, f"jni/arm64-v8a/{LIBRARY}", Target.ANDROID_ARM64), version)


def _unpacked(archive: Path, member: str, target: Target) -> Path:
    """A member of a zip, in the cache by the archive's contents."""
    path = native.cache() / target / whole.sha256(archive)[:16] / LIBRARY
    if not path.exists():
        try:
            with zipfile.ZipFile(archive) as opened:
                contents = opened.read(member)
        except (KeyError, zipfile.BadZipFile, OSError) as error:
            raise ToolchainMissingError(
                f"{archive} holds no {member}: {error}", hint="is it whole, and the archive for this system?"
            ) from error
        with whole.appearing(path) as staged:
            staged.write_bytes(contents)
    return path


def _supported(version: str | None, what: str) -> str:
    if version is None:
        raise ToolchainMissingError(f"{WHEEL} is not installed", hint=_install())
    if not version.startswith(f"{RELEASE}."):
        raise ToolchainMissingError(f"{what} is LiteRT {version}; our runner knows {RELEASE}", hint=_install())
    return version


def _install() -> str:
    return f"pip install '{WHEEL}=={RELEASE}.*'"
