"""The real adb client finds a phone in our fake one (devices sheet §1)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="the fake phone checks keys with it")

from tests.fakes.adb_server import AdbServer
from tests.fakes.adbd import Adbd, Identity
from tests.fakes.phone.userlands import PlainShell

TMP = "/data/local/tmp"


@pytest.fixture
def daemon(adb_server: AdbServer, tmp_path: Path) -> Iterator[Adbd]:
    (tmp_path / "phone").mkdir()
    with Adbd(PlainShell(tmp_path / "phone")) as daemon:
        adb_server.connect(daemon.serial)
        yield daemon


def test_the_list_of_devices_tells_its_product_and_model(adb_server: AdbServer, tmp_path: Path) -> None:
    with Adbd(PlainShell(tmp_path), identity=Identity("oriole", "Pixel_6", "oriole")) as daemon:
        adb_server.connect(daemon.serial)
        line = adb_server.adb("devices", "-l").stdout.decode().splitlines()[1].split()
    assert line[:5] == [daemon.serial, "device", "product:oriole", "model:Pixel_6", "device:oriole"]
