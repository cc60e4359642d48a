"""The main job, as `make demo` runs it: every number in its report is there, holds, and is the same the second time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edge import plugins

TARGETS = plugins.names("exporters")


def edge(*arguments: str, expect: int = 0) -> dict[str, Any]:
    """The JSON document of one command."""
    done = subprocess.run(
        [sys.executable, "-m", "edge", *arguments, "--json"], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "demo"


@pytest.fixture(scope="module")
def demo(folder: Path) -> dict[str, Any]:
    return edge("demo", "--out", str(folder))


def executed(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [artifact for artifact in document["artifacts"] if artifact["verdict"] != "not executed"]


def test_the_network_reads_digits_that_it_has_never_seen(demo: dict[str, Any]) -> None:
    assert demo["pictures"] >= 300
    assert demo["accuracy"] >= 0.97


def test_every_target_has_a_file_or_a_reason(demo: dict[str, Any]) -> None:
    made = {artifact["target"] for artifact in demo["artifacts"]}
    missing = {absent["target"] for absent in demo["missing"]}
    assert made | missing == set(TARGETS)
    assert not made & missing
    assert all(Path(artifact["path"]).exists() for artifact in demo["artifacts"])
    assert all(absent["error"] and absent["hint"] for absent in demo["missing"])


def test_every_executed_file_is_as_accurate_as_the_model(demo: dict[str, Any]) -> None:
    assert executed(demo)
    for artifact in executed(demo):
        assert artifact["verdict"] == "ok"
        assert abs(artifact["accuracy"] - demo["accuracy"]) <= 0.003
        assert artifact["relative_error"] <= 1e-4


def test_a_file_that_is_not_executed_claims_nothing(demo: dict[str, Any]) -> None:
    for artifact in demo["artifacts"]:
        if artifact["verdict"] == "not executed":
            assert [artifact[name] for name in ("relative_error", "accuracy", "median_ms", "top")] == [None] * 4
            assert artifact["reason"]


def test_every_latency_says_where_it_comes_from(demo: dict[str, Any]) -> None:
    for artifact in executed(demo):
        low, high = artifact["ci95_ms"]
        assert 0 < low <= artifact["median_ms"] <= high
        assert artifact["source"] in {"measured", "reference-runtime"}


def test_one_picture_gets_one_answer_from_every_file(demo: dict[str, Any]) -> None:
    assert {artifact["top"]["label"] for artifact in executed(demo)} == {demo["picture"]["label"]}
    with Image.open(demo["picture"]["path"]) as picture:
        assert picture.format == "PNG"


def test_the_page_shows_the_numbers(demo: dict[str, Any]) -> None:
    page = Path(demo["report"]).read_text(encoding="utf-8")
    assert f"{100 * demo['accuracy']:.2f} %" in page
    assert all(artifact["sha256"] in page for artifact in demo["artifacts"])
    assert page.count("data:image/png;base64,") >= 10
    assert page.count("<svg") >= 4


def test_a_second_demo_keeps_the_training_and_the_files(demo: dict[str, Any], folder: Path) -> None:
    weights = (Path(demo["run"]) / "weights.safetensors").stat().st_mtime_ns
    again = edge("demo", "--out", str(folder))
    assert (Path(again["run"]) / "weights.safetensors").stat().st_mtime_ns == weights
    assert [artifact["sha256"] for artifact in again["artifacts"]] == [
        artifact["sha256"] for artifact in demo["artifacts"]
    ]
    assert again["accuracy"] == demo["accuracy"]


def test_other_settings_in_the_same_folder_are_refused(demo: dict[str, Any], folder: Path) -> None:
    assert edge("demo", "--out", str(folder), "--epochs", "1", expect=2)["schema"] == "edge.error/1"


@pytest.mark.parametrize("given", ["above", "export", "run"])
def test_any_folder_of_the_demo_can_be_reported(demo: dict[str, Any], folder: Path, tmp_path: Path, given: str) -> None:
    place = {"above": folder, "export": Path(demo["folder"]), "run": Path(demo["run"])}[given]
    document = edge("report", str(place), "--out", str(tmp_path / "page.html"), "--runs", "5")
    assert document == {"schema": "edge.report/1", "path": str(tmp_path / "page.html")}
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"{100 * demo['accuracy']:.2f} %" in page
    assert '<p class="lead good">' in page


def test_a_file_that_was_changed_after_its_verification_is_reported_as_failed(
    demo: dict[str, Any], tmp_path: Path
) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(demo["folder"], copied)
    record = json.loads((copied / "edge.json").read_text())
    record["artifacts"][-1]["sha256"] = "0" * 64
    (copied / "edge.json").write_text(json.dumps(record))
    edge("report", str(copied), "--runs", "5")
    page = (copied / "report.html").read_text(encoding="utf-8")
    assert '<p class="lead bad">' in page
    assert "the file has changed since it was verified" in page
