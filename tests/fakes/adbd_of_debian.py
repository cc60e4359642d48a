"""A real adbd, Debian's, in a phone's folder: the reference that the fake one is held against (devices sheet §1.2)."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from edge import whole
from tests.fakes.phone import debian
from tests.fakes.phone.description import NEW
from tests.fakes.phone.folder import build
from tests.fakes.phone.userlands import Namespace

PACKAGES = ("adbd", "android-libbase", "android-libcutils", "android-liblog", "android-libboringssl", "libprotobuf32")
PORT = 6700
STARTS_WITHIN_S = 10


def unpacked() -> Path:
    """The folder of its packages; downloaded once. Raises `UnavailableError`."""
    root = debian.cache() / "adbd" / debian.release()
    if not root.exists():
        with whole.appearing(root) as staged, tempfile.TemporaryDirectory() as folder:
            options = debian.of_suite(f"{debian.release()}-backports", Path(folder))
            debian.unpack(PACKAGES, Path(folder), staged, options)
    return root


class AdbdOfDebian:
    """It runs from `with` to the end of the block, with the phone's folder as its `/`."""

    serial = f"127.0.0.1:{PORT}"

    def __init__(self, root: Path) -> None:
        links = Path("/proc/net/dev").read_text().splitlines()[2:]
        if [link.split(":")[0].strip() for link in links] != ["lo"]:  # it would give its shell to the whole network
            raise RuntimeError("a real adbd starts only where there is no network: make adbd-conformance")
        build(NEW, root)
        shutil.copy(unpacked() / "usr/lib/android-sdk/platform-tools/adbd", root / "system/bin/adbd")
        libraries = root / "system/lib"
        libraries.mkdir()
        for library in (unpacked() / "usr/lib").glob("*-linux-gnu/**/*.so*"):
            shutil.copy(library, libraries / library.name)
        self._namespace = Namespace(root)

    def __enter__(self) -> Self:
        self._namespace.__enter__()
        environment = {
            **self._namespace.environment, "ADBD_PORT": str(PORT), "LD_LIBRARY_PATH": "/system/lib"
        }  # fmt: skip
        self._daemon = subprocess.Popen(
            self._namespace.argv("exec adbd"), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        latest = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", PORT)).close()
                return self
            except ConnectionRefusedError:
                if time.monotonic() > latest:
                    self._namespace.__exit__(None, None, None)
                    raise
                time.sleep(0.02)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._namespace.__exit__(kind, error, trace)
        self._daemon.wait(10)
