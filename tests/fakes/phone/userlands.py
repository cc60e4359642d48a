"""Whose commands a phone runs: this machine's shell in the phone's folder, with or without the rest of this machine."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

ANDROID = {"PATH": "/system/bin:/usr/bin:/bin", "HOME": "/", "ANDROID_ROOT": "/system", "ANDROID_DATA": "/data"}
ENTER = """set -e
root=$1 usr=$2 qemu=$3
mkdir -p "$root/.proc"
mount --bind "$root/proc" "$root/.proc"
mount -t proc proc "$root/proc"
if [ -n "$qemu" ]; then
    mount -t binfmt_misc binfmt_misc "$root/proc/sys/fs/binfmt_misc"
    printf '%s' "$qemu" >"$root/proc/sys/fs/binfmt_misc/register"
fi
for file in cpuinfo meminfo; do mount --bind "$root/.proc/$file" "$root/proc/$file"; done
mount --bind "$usr" "$root/usr"
mount -o remount,bind,ro "$root/usr"
mount --rbind /dev "$root/dev"
exec 3<&0
echo ready
cat <&3 >/dev/null &
wait
"""
"""The first process of a phone. It waits, and so takes the orphans, until the pipe of this process closes; all end with it."""


@dataclass(frozen=True, slots=True)
class PlainShell:
    """This machine's own shell, which starts in the phone's folder but sees all of this machine: for the protocol only."""

    root: Path

    @property
    def environment(self) -> Mapping[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.root)}

    def argv(self, command: str) -> Sequence[str]:
        return ("/bin/sh", "-c", command) if command else ("/bin/sh",)


@dataclass(frozen=True, slots=True)
class Programs:
    """Whose programs a phone runs: the folder of its `/usr`, and what binfmt_misc needs to know to run them here."""

    usr: Path
    binfmt: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


HOSTS_OWN = Programs(Path("/usr"))


class Namespace:
    """A system of its own from `with` to the end of the block, whose `/` is the phone's folder.

    It has its own users, mounts and processes, so it needs no rights, changes nothing on this machine, and finds none of
    this machine's files but those of `programs`.
    """

    def __init__(self, root: Path, programs: Programs = HOSTS_OWN) -> None:
        self.root = root
        self.environment: Mapping[str, str] = {**ANDROID, **programs.environment}
        self._programs = programs
        self._first: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._first = subprocess.Popen(
            (*_unshare(), "/bin/sh", "-c", ENTER, "phone", self.root, self._programs.usr, self._programs.binfmt),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._first.stdout is not None
        said = self._first.stdout.readline()
        if said != "ready\n":
            self._end()
            raise RuntimeError(f"no system for the phone: {said.strip()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._first is not None:
            self._first.kill()
            self._first.communicate(timeout=10)

    def argv(self, command: str) -> Sequence[str]:
        assert self._first is not None
        pid = self._first.pid
        first = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
        enter = (_tool("nsenter"), "-t", first, "--user", "--mount", "--pid", "--preserve-credentials")
        shell = ("/system/bin/sh", "-c", command) if command else ("/system/bin/sh",)
        return (*enter, _tool("chroot"), str(self.root), *shell)


def _unshare() -> Sequence[str]:
    return (_tool("unshare"), "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child")


def _tool(name: str) -> str:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin") or name


@functools.cache
def why_no_namespaces() -> str:
    """Empty where this machine lets us make them."""
    for tool in ("unshare", "nsenter", "chroot"):
        if shutil.which(_tool(tool)) is None:
            return f"{tool} (util-linux) is not installed"
    tried = subprocess.run(
        (*_unshare(), "mount", "-t", "proc", "proc", "/proc"), capture_output=True, text=True, timeout=30, check=False
    )
    return "" if tried.returncode == 0 else f"user namespaces are not allowed here: {tried.stderr.strip()}"
