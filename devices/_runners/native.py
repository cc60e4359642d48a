"""Builds our C runner for a target, once for each source and compiler."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from devices._runners.target import Target
from edge import store, whole
from edge.errors import ToolchainMissingError

SOURCE = Path(__file__).parent.parent / "runner" / "edge_runner.c"
NAME = "edge_runner"
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra")
API = 24
"""The oldest Android that LiteRT runs on, as a level of its API; the compiler's name holds it."""
COMPILE_WITHIN_S = 120.0

NATIVE = ("gcc", "cc", "clang")
COMPILERS: Mapping[Target, tuple[str, ...]] = {
    Target.LINUX_X86_64: NATIVE if platform.machine() == "x86_64" else ("x86_64-linux-gnu-gcc",),
    Target.LINUX_ARM64: NATIVE if platform.machine() == "aarch64" else ("aarch64-linux-gnu-gcc",),
}
"""Who can build for a target, the best first."""
PACKAGES: Mapping[str, str] = {
    "gcc": "gcc libc6-dev",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "x86_64-linux-gnu-gcc": "gcc-x86-64-linux-gnu libc6-dev-amd64-cross",
}
"""Debian's and Ubuntu's packages, by the first compiler of a target."""


def cache() -> Path:
    """Where runners and runtimes are kept; beside the exported files."""
    return store.root().parent / "runners"


def built(target: Target) -> Path:
    """Our runner for `target`, built now where it is not in the cache. Raises `ToolchainMissingError`."""
    compiler = _compiler(target)
    version = _first_line(compiler)
    decides = (SOURCE.read_bytes(), str(compiler).encode(), version.encode(), target.encode(), " ".join(FLAGS).encode())
    key = hashlib.sha256(b"\0".join(decides)).hexdigest()[:16]
    path = cache() / target / key / NAME
    if not path.exists():
        with whole.appearing(path) as staged:
            _compile(compiler, staged)
    return path


def _compile(compiler: Path, path: Path) -> None:
    command = [str(compiler), *FLAGS, str(SOURCE), "-o", str(path), "-ldl"]
    done = _output(command)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise ToolchainMissingError(
            f"{compiler.name} cannot build the runner: {next((line for line in said if 'error' in line), 'it says why')}",
            hint=f"its headers may be missing; the command was\n  {' '.join(command)}",
        )


def _compiler(target: Target) -> Path:
    if target is Target.ANDROID_ARM64:
        return _of_ndk()
    found = next((path for name in COMPILERS[target] if (path := shutil.which(name))), None)
    if found is None:
        first = COMPILERS[target][0]
        raise ToolchainMissingError(
            f"no C compiler for {target}: looked for {', '.join(COMPILERS[target])}",
            hint=f"apt-get install {PACKAGES[first]}",
        )
    return Path(found)


def _of_ndk() -> Path:
    home = os.environ.get("ANDROID_NDK_HOME")
    if not home:
        raise ToolchainMissingError(
            "building the runner for Android needs the NDK, and ANDROID_NDK_HOME names none",
            hint="install it with Android Studio (SDK Manager, NDK) or `sdkmanager --install 'ndk;27.2.12479018'`, then\n"
            "  export ANDROID_NDK_HOME=$ANDROID_HOME/ndk/27.2.12479018",
        )
    name = f"aarch64-linux-android{API}-clang"
    found = sorted((Path(home) / "toolchains" / "llvm" / "prebuilt").glob(f"*/bin/{name}"))
    if not found:
        raise ToolchainMissingError(
            f"the NDK at ANDROID_NDK_HOME={home} has no {name}",
            hint="it should be at toolchains/llvm/prebuilt/*/bin: is this the NDK's own folder, r23 or later?",
        )
    return found[0]


def _first_line(compiler: Path) -> str:
    """What names the compiler's release, without which a cached runner would outlive it."""
    done = _output([str(compiler), "--version"])
    line = next(iter(done.stdout.splitlines()), "")
    if done.returncode != 0 or not re.search(r"\d", line):
        raise ToolchainMissingError(f"{compiler} does not say its version", hint="is it a C compiler?")
    return line


def _output(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=COMPILE_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainMissingError(f"{command[0]} does not run: {error}", hint="is it a C compiler?") from error
