"""Points of a space are named or read from a file, and each mistake is explained."""

from __future__ import annotations

import json

import pytest

from edge.errors import ToolchainMissingError, UsageError
from edge.latency.bench import Effort
from edge.latency.start import bench_of, spec_of
from edge.latency.tag import Setup
from edge.spec import Precision
from tests.fakes.toy_space import ToySpace, toy_space


def test_a_member_by_its_name_and_a_point_from_a_file(tmp_path):
    space = toy_space()
    (tmp_path / "point.json").write_text(json.dumps(space.largest().fields()))
    assert spec_of(space, "toy_s") == space.smallest()
    assert spec_of(space, str(tmp_path / "point.json")) == space.largest()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no point"),
        ("{", "no point"),
        ("[]", "no point"),
        ('{"space": "toy_space"}', "no point"),
        ('{"space": "other", "choices": {}}', "no point of toy_space"),
        ('{"space": "toy_space", "choices": {"width1": 5, "width2": 8, "depth1": 1, "depth2": 1}}', "width1 is 5"),
    ],
)
def test_a_file_that_is_no_point_is_refused(tmp_path, text, said):
    if text is not None:
        (tmp_path / "point.json").write_text(text)
    with pytest.raises(UsageError, match=said):
        spec_of(toy_space(), str(tmp_path / "point.json"))


def test_an_unknown_member_names_those_that_there_are():
    with pytest.raises(UsageError, match="no member of toy_space") as error:
        spec_of(toy_space(), "toy")
    assert "toy_s" in error.value.hint


def test_a_target_that_does_not_exist_is_refused_before_anything_is_made(tmp_path):
    setup = Setup.of(toy_space(), "host", "tflit", Precision.FP32, 1)
    with pytest.raises(UsageError, match="tflit"), bench_of(toy_space(), setup, Effort(), tmp_path / "log"):
        raise AssertionError


def test_a_toolchain_that_is_missing_is_said(tmp_path, monkeypatch):
    from edge import plugins

    monkeypatch.setattr(plugins, "missing", lambda plugin: ("litert-torch",))
    setup = Setup.of(toy_space(), "host", "tflite", Precision.FP32, 1)
    with pytest.raises(ToolchainMissingError), bench_of(toy_space(), setup, Effort(), tmp_path / "log"):
        raise AssertionError


def test_a_space_without_members_asks_for_a_file(monkeypatch):
    monkeypatch.setattr(ToySpace, "members", {})
    with pytest.raises(UsageError, match="no hand-made member at 16x16") as error:
        spec_of(toy_space(), "toy_s")
    assert "SPEC.json" in error.value.hint
