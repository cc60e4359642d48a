"""The folder of a test decides its marker; torchvision's operator schemas exist so that timm can be an oracle."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach for the network

import pytest
import torch

from tests.fakes.adb_server import AdbServer

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
