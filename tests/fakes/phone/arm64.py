"""The programs of an arm64 system, run here by qemu: Debian's, unpacked in the cache, with nothing installed."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path

from edge import whole
from tests.fakes.phone import debian
from tests.fakes.phone.debian import UnavailableError
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
    """The folder of an arm64 system with a shell, busybox and the C and C++ libraries; made once.

    Raises `UnavailableError`.
    """
    if why_no_arm64():
        raise UnavailableError(why_no_arm64())
    root = debian.cache() / "arm64" / f"{debian.release()}-{'-'.join(PACKAGES)}-{RECIPE}"
    if not root.exists():
        with whole.appearing(root) as staged, tempfile.TemporaryDirectory() as folder:
            options = {"APT::Architecture": "arm64", "APT::Architectures": "arm64"}
            debian.unpack(PACKAGES, Path(folder), staged, options)
            _as_one_usr(staged)
    return root


def _as_one_usr(root: Path) -> None:
    """Everything below /usr, as today's Debian has it, and a link to busybox for each of its commands."""
    for old in ("bin", "lib"):
        shutil.copytree(root / old, root / "usr" / old, symlinks=True, dirs_exist_ok=True)
    programs = root / "usr/bin"
    for applet in debian.run((QEMU, str(programs / "busybox"), "--list"), root, debian.UNPACK_S).split():
        if not (programs / applet).exists():
            (programs / applet).symlink_to("busybox")
