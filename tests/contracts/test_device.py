"""Every device keeps its promise."""

from __future__ import annotations

import pytest

from edge import plugins
from edge.errors import DeviceError, EdgeError

KINDS = plugins.names("devices")


@pytest.mark.parametrize("kind", KINDS)
def test_making_a_device_touches_nothing_and_listing_it_names_its_kind(kind):
    assert all(info.kind == kind and info.id for info in plugins.device(kind).attached())


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_does_not_exist_is_one_of_our_errors(kind, tmp_path):
    from edge.protocol import TimingPlan

    with pytest.raises(EdgeError):
        plugins.device(kind).time(tmp_path / "none.tflite", TimingPlan(), log=tmp_path / "log")


def test_there_is_one_host(tmp_path):
    from edge.protocol import TimingPlan

    with pytest.raises(DeviceError, match="only one host"):
        plugins.device("host:other").time(tmp_path / "none.tflite", TimingPlan(), log=tmp_path / "log")
