"""The folder of a test decides its marker; torchvision's operator schemas exist so that timm can be an oracle."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach for the network
os.environ["ADB"] = "adb of no test"  # nor for phones attached by hand: see `edges_adb`

import pytest
import torch

from tests.fakes.adb_server import AdbServer
from tests.fakes.phone.arm64 import arm64_programs
from tests.fakes.phone.debian import UnavailableError
from tests.fakes.phone.description import NEW
from tests.fakes.phone.userlands import why_no_namespaces

if TYPE_CHECKING:
    from tests.fakes.adbd import Adbd

_TORCHVISION = torch.library.Library("torchvision", "FRAGMENT")
"""The PyPI torchvision's compiled operators do not load beside a local torch build; timm needs only their names."""
for _schema in (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
):
    try:
        _TORCHVISION.define(_schema)
    except RuntimeError:  # a torchvision whose operators do load has defined them already
        break

FOLDERS = ("unit", "contracts", "parity", "e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = Path(item.path).relative_to(Path(__file__).parent).parts[0]
        if folder in FOLDERS:
            item.add_marker(folder)


@pytest.fixture
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    """The real adb with nothing attached; `connect` it to a phone of `tests.fakes`."""
    if shutil.which("adb") is None:
        pytest.skip("adb is not installed: make device-tools")
    with AdbServer.in_folder(tmp_path_factory.mktemp("adb")) as server:
        yield server


@pytest.fixture
def edges_adb(adb_server: AdbServer, monkeypatch: pytest.MonkeyPatch) -> AdbServer:
    """The same, and edge finds it."""
    monkeypatch.delenv("ADB")
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(adb_server.port))
    return adb_server


@pytest.fixture
def attach(adb_server: AdbServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Adbd]]:
    """Attaches a fake phone to `adb_server`: its description, then the options of `on_the_wire`; its `serial` is ready.

    The phone's files lie in `userland.root`. It runs this machine's programs unless `programs` says otherwise.
    """
    pytest.importorskip("cryptography", reason="the fake phone checks keys with it")
    from tests.fakes.phone.on_the_wire import on_the_wire

    if why_no_namespaces():
        pytest.skip(why_no_namespaces())
    with ExitStack() as phones:

        def attach(description: Any, *, state: str = "device", **options: Any) -> Adbd:
            root = tmp_path_factory.mktemp("phone")
            daemon = phones.enter_context(on_the_wire(description, root, **options))
            adb_server.connect(daemon.serial, state)
            return daemon

        yield attach


@pytest.fixture
def arm64_phone(attach: Callable[..., Adbd]) -> Adbd:
    """A phone on `adb_server` whose programs are an arm64 system's, run by qemu; made on first use, with a network."""
    try:
        programs = arm64_programs()
    except UnavailableError as error:
        pytest.skip(str(error))
    return attach(NEW, programs=programs)
