"""The folder of an export: names, refusals, and the record."""

from __future__ import annotations

import json

import pytest

from edge.artifact import Artifact
from edge.card import TensorSpec
from edge.errors import BadArtifactError, UsageError
from edge.export_folder import ExportFolder, file_stem, folder_name, recorded_files, recorded_request
from edge.reference import ModelRequest
from edge.spec import Precision
from edge.verify import Verdict

REQUEST = ModelRequest("efficientvit_m0", image_size=(192, 256))


@pytest.fixture
def folder(tmp_path) -> ExportFolder:
    return ExportFolder(tmp_path / "out", REQUEST, ("cat", "dog"))


def artifact(folder: ExportFolder, source, name: str = "m.onnx") -> Artifact:
    source.write_bytes(b"model")
    path = folder.place(source, name)
    return Artifact("onnx", path, 5, "ab", Precision.FP32, Verdict("ok", "", "x").fields(), 1.0, False)


@pytest.mark.parametrize(
    ("reference", "stem"),
    [
        ("efficientvit_m0", "efficientvit_m0"),
        ("timm:resnet18.a1_in1k", "timm_resnet18.a1_in1k"),
        ("my.module:factory", "my.module_factory"),
        ("some/where/net.py:build", "net_build"),
        ("runs/best-4.0ms", "best-4.0ms"),
        ("runs/../..", "model"),
        ("$(rm -rf ~)", "rm_-rf"),
    ],
)
def test_a_reference_becomes_a_harmless_file_name(reference, stem):
    assert file_stem(reference) == stem


def test_the_folder_name_holds_precision_and_size():
    assert folder_name("m", Precision.FP16, TensorSpec("x", (1, 3, 192, 256))) == "m-fp16-192x256"
    assert folder_name("m", Precision.FP32, TensorSpec("x", (1, 4, 6))) == "m-fp32-4x6"


def test_the_request_and_the_files_come_back(folder, tmp_path):
    folder.record([artifact(folder, tmp_path / "a")])
    assert recorded_request(folder.path) == REQUEST
    assert recorded_files(folder.path) == (folder.path / "m.onnx",)
    assert (folder.path / "labels.txt").read_text() == "cat\ndog\n"


def test_an_earlier_file_stays_recorded(folder, tmp_path):
    folder.record([artifact(folder, tmp_path / "a")])
    folder.record([artifact(folder, tmp_path / "a", "m.tflite")])
    assert [path.name for path in recorded_files(folder.path)] == ["m.onnx", "m.tflite"]


def test_another_file_of_that_name_is_not_overwritten_unless_forced(folder, tmp_path):
    folder.record([artifact(folder, tmp_path / "a")])
    with pytest.raises(UsageError, match="exists"):
        folder.refuse_overwriting({"m.onnx": ""}, force=False)
    folder.refuse_overwriting({"m.onnx": ""}, force=True)


def test_another_model_does_not_share_the_folder(folder, tmp_path):
    folder.record([artifact(folder, tmp_path / "a")])
    other = ExportFolder(folder.path, ModelRequest("efficientvit_m1"), ())
    with pytest.raises(UsageError, match="another model"):
        other.refuse_overwriting({"n.onnx": ""}, force=False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": "edge.export/1", "artifacts": [3], "request": {}}',
        '{"schema": "edge.export/1", "artifacts": 3, "request": {}}',
    ],
)
def test_a_record_that_is_not_ours_is_refused(folder, text):
    folder.path.mkdir()
    (folder.path / "edge.json").write_text(text)
    with pytest.raises(BadArtifactError):
        recorded_files(folder.path)


def test_a_record_cannot_point_outside_its_folder(folder, tmp_path):
    folder.record([artifact(folder, tmp_path / "a")])
    record = json.loads((folder.path / "edge.json").read_text())
    record["artifacts"][0]["path"] = "../../etc/m.onnx"
    (folder.path / "edge.json").write_text(json.dumps(record))
    assert recorded_files(folder.path) == (folder.path / "m.onnx",)
