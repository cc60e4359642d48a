"""The programs of an arm64 system, run here by qemu: Debian's, unpacked in the cache, with nothing installed."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from platformdirs import user_cache_path

from tests.fakes.phone.userlands import Programs, why_no_namespaces

PACKAGES = ("busybox-static", "dash", "libc6", "libgcc-s1", "libstdc++6")
"""The shell is dash, as busybox's takes its own applets before the phone's scripts of the same name."""
RECIPE = 1
"""Counted up when what is built below changes."""
CPU = "cortex-a76"
"""Kernels are chosen by the processor's features and differ in the last bits: so it is pinned (devices sheet §2.3)."""
QEMU = "qemu-aarch64-static"
HEADER = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
"""The first bytes of a little-endian 64-bit ELF file, fixed or position-independent (2 or 3), for machine 0xb7, AArch64."""
APT_S, UNPACK_S = 120, 60


class UnavailableError(Exception):
    """There is no arm64 here; the text says why, and what would bring it."""


def why_no_arm64() -> str:
    """Empty where an arm64 system can be run."""
    missing = [tool for tool in (QEMU, "apt-get", "dpkg-deb") if shutil.which(tool) is None]
    return f"{missing[0]} is not installed: make device-tools" if missing else why_no_namespaces()


def arm64_programs() -> Programs:
    """What a phone needs to run arm64 programs. Raises `UnavailableError`."""
    # P keeps a program's own name, by which busybox knows what to be; F opens qemu now, outside the phone's root
    rule = f":qemu-aarch64:M::{HEADER}:{MASK}:{shutil.which(QEMU)}:PF"
    return Programs(arm64_root() / "usr", rule, {"QEMU_CPU": CPU})


@functools.cache
def arm64_root() -> Path:
    """The folder of an arm64 system with a shell, busybox and the C and C++ libraries; made once. Raises `UnavailableError`."""
    if why_no_arm64():
        raise UnavailableError(why_no_arm64())
    cache = Path(os.environ.get("EDGE_CACHE") or user_cache_path("edge-toolchain")) / "arm64"
    root = cache / f"{_release()}-{'-'.join(PACKAGES)}-{RECIPE}"
    if not root.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            built = _built(Path(folder))
            if not root.exists():  # another process may have been faster
                built.rename(root)
    return root


def _release() -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    return next(
        (line.partition("=")[2].strip('"') for line in lines if line.startswith("VERSION_CODENAME=")), "unknown"
    )


def _built(folder: Path) -> Path:
    root, packages = folder / "root", _downloaded(folder)
    for package in packages:
        _run(("dpkg-deb", "-x", str(package), str(root)), folder, UNPACK_S)
    for old in ("bin", "lib"):  # everything below /usr, as today's Debian has it
        shutil.copytree(root / old, root / "usr" / old, symlinks=True, dirs_exist_ok=True)
    (root / "packages").write_text("".join(f"{package.name}\n" for package in packages))
    programs = root / "usr/bin"
    for applet in _run((shutil.which(QEMU) or QEMU, str(programs / "busybox"), "--list"), folder, UNPACK_S).split():
        if not (programs / applet).exists():
            (programs / applet).symlink_to("busybox")
    return root


def _downloaded(folder: Path) -> Sequence[Path]:
    """The packages' files, by an apt whose state is all in `folder`: this machine's own does not change."""
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "root",
        "Dir::State::lists": str(folder / "lists"),
        "Dir::State::status": str(folder / "status"),
        "Dir::Cache::archives": str(folder / "archives"),
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
    }
    apt = ("apt-get", "-qq", *(word for name, value in options.items() for word in ("-o", f"{name}={value}")))
    _run((*apt, "update"), folder, APT_S)
    _run((*apt, "download", *PACKAGES), folder, APT_S)
    return sorted(folder.glob("*.deb"))


def _run(command: Sequence[str], folder: Path, timeout_s: float) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"no arm64 system: {command[0]} took longer than {timeout_s} s") from error
    if done.returncode != 0:
        raise UnavailableError(f"no arm64 system: {command[0]}: {done.stderr.strip()[-300:]}")
    return done.stdout
