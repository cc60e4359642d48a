"""Plugins are found by file name."""

from __future__ import annotations

import pytest

from edge import plugins
from edge.errors import BadArtifactError, ToolchainMissingError, UnknownNameError, UsageError


def test_the_four_targets_and_the_host_are_found():
    assert {"coreml", "executorch", "onnx", "tflite"} <= set(plugins.names("exporters"))
    assert "host" in plugins.names("devices")


def test_files_with_an_underscore_are_no_plugins():
    assert not any(name.startswith("_") for name in plugins.names("exporters"))


def test_an_unknown_target_suggests_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        plugins.exporter("tflight")
    assert "tflite" in caught.value.hint


def test_an_unknown_search_space_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="no search space named 'efficientvit2'") as caught:
        plugins.space("efficientvit2", (32, 32), 10)
    assert "efficientvit" in caught.value.hint


def test_a_missing_toolchain_is_one_sentence_with_the_install_command(monkeypatch):
    monkeypatch.setattr(plugins, "installed_version", lambda distribution: None)
    with pytest.raises(ToolchainMissingError, match="not installed") as caught:
        plugins.require(plugins.exporter("tflite"))
    assert caught.value.hint == "pip install 'edge-toolchain[tflite]'"
    assert caught.value.code == 5


def test_a_file_is_known_by_its_suffix(tmp_path):
    path = tmp_path / "model.tflite"
    path.touch()
    assert plugins.exporter_for(path).name == "tflite"


def test_an_unknown_suffix_names_the_known_ones(tmp_path):
    (tmp_path / "model.h5").touch()
    with pytest.raises(BadArtifactError) as caught:
        plugins.exporter_for(tmp_path / "model.h5")
    assert ".onnx" in caught.value.hint


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(UsageError, match="there is no"):
        plugins.exporter_for(tmp_path / "none.onnx")
