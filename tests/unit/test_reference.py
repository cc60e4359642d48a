"""References: which kind each is, and the fingerprint that changes with everything that changes the model."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edge import reference, runfolder
from edge.errors import UnknownNameError, UsageError
from edge.reference import Kind, ModelRequest, fingerprint
from edge.runfolder import RunCard

NAMED = ModelRequest("efficientformer_mini")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("efficientvit_m2", Kind.CATALOG),
        ("timm:resnet18.a1_in1k", Kind.TIMM),
        ("package.module:factory", Kind.FACTORY),
        ("path/to/file.py:factory", Kind.FACTORY),
    ],
)
def test_a_reference_tells_its_kind(text: str, kind: Kind) -> None:
    assert ModelRequest(text).kind is kind


def test_a_folder_is_a_run(tmp_path: Path) -> None:
    assert ModelRequest(str(tmp_path)).kind is Kind.RUN


def test_a_folder_does_not_hide_a_name_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "efficientvit_m2").mkdir()
    monkeypatch.chdir(tmp_path)
    assert ModelRequest("efficientvit_m2").kind is Kind.CATALOG
    assert ModelRequest("./efficientvit_m2").kind is Kind.RUN


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no model named 'eficientvit_m2'") as caught:
        _ = ModelRequest("eficientvit_m2").kind
    assert "efficientvit_m2" in caught.value.hint


def test_a_path_to_nothing_is_not_taken_for_a_misspelt_name() -> None:
    with pytest.raises(UsageError, match="'runs/none' is no folder that edge wrote"):
        _ = ModelRequest("runs/none").kind


def test_the_same_request_has_the_same_fingerprint() -> None:
    assert fingerprint(NAMED) == fingerprint(ModelRequest("efficientformer_mini"))


@pytest.mark.parametrize(
    "changes",
    [
        {"reference": "efficientformer_l1"},
        {"num_classes": 3},
        {"image_size": (64, 64)},
        {"seed": 1},
        {"mean": (0.0, 0.0, 0.0)},
        {"std": (1.0, 1.0, 1.0)},
    ],
)
def test_every_override_changes_the_fingerprint(changes: dict[str, object]) -> None:
    assert fingerprint(replace(NAMED, **changes)) != fingerprint(NAMED)


@pytest.mark.parametrize("name", ["weights", "labels"])
def test_the_content_of_a_file_changes_the_fingerprint(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    before = fingerprint(replace(NAMED, **{name: path}))
    path.write_text("two")
    assert fingerprint(replace(NAMED, **{name: path})) != before


def test_where_a_file_lies_does_not_change_the_fingerprint(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "w.pth").write_text("same")
    first, second = (replace(NAMED, weights=tmp_path / folder / "w.pth") for folder in ("a", "b"))
    assert fingerprint(first) == fingerprint(second)


def test_a_file_that_cannot_be_read_leaves_the_fingerprint_unknown(tmp_path: Path) -> None:
    assert fingerprint(replace(NAMED, weights=tmp_path / "none.pth")) is None


def test_a_factory_has_no_fingerprint() -> None:
    assert fingerprint(ModelRequest("file.py:make")) is None


def test_another_timm_changes_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(ModelRequest("timm:resnet18"))
    monkeypatch.setattr(reference, "installed_version", lambda _: "0.0.1")
    assert fingerprint(ModelRequest("timm:resnet18")) != before


def test_published_weights_that_are_not_fetched_leave_the_fingerprint_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference.hub, "cached", lambda _: None)
    assert fingerprint(ModelRequest("efficientvit_m0", pretrained=True)) is None


def _run(folder: Path, model: str = "efficientformer_mini") -> ModelRequest:
    runfolder.write(folder, RunCard(model, 10, (32, 32)))
    (folder / "weights.safetensors").write_bytes(b"first")
    return ModelRequest(str(folder))


def test_the_weights_of_a_run_change_its_fingerprint(tmp_path: Path) -> None:
    request = _run(tmp_path)
    before = fingerprint(request)
    (tmp_path / "weights.safetensors").write_bytes(b"second")
    assert None is not before != fingerprint(request)


def test_the_record_of_a_run_changes_its_fingerprint(tmp_path: Path) -> None:
    request = _run(tmp_path)
    before = fingerprint(request)
    runfolder.write(tmp_path, RunCard("efficientformer_mini", 10, (32, 32), crop=1.0))
    assert None is not before != fingerprint(request)


def test_a_run_of_a_users_factory_has_no_fingerprint(tmp_path: Path) -> None:
    assert fingerprint(_run(tmp_path, "package.module:factory")) is None


def test_a_fingerprint_needs_no_torch() -> None:
    code = (
        "import sys; from edge.reference import *; fingerprint(ModelRequest('efficientvit_m0'));"
        "fingerprint(ModelRequest('timm:resnet18')); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
