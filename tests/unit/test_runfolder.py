"""Run folders: what is written comes back, and what cannot be a run is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge import runfolder
from edge.errors import UsageError
from edge.reference import ModelRequest
from edge.runfolder import RunCard

CARD = RunCard(
    model="efficientformer_mini",
    num_classes=2,
    image_size=(32, 48),
    labels=("null", "eins"),
    mean=(0.1, 0.2, 0.3),
    std=(0.5, 0.6, 0.7),
    crop=1.0,
    interpolation="bilinear",
    data="digits",
    seed=7,
    epochs=3,
    accuracy=0.98,
    licence="CC0",
)


def edited(folder: Path, **changes: Any) -> Path:
    """A run folder whose record has other fields; None removes one."""
    runfolder.write(folder, CARD)
    fields = {**json.loads((folder / "run.json").read_text()), **changes}
    (folder / "run.json").write_text(json.dumps({name: value for name, value in fields.items() if value is not None}))
    return folder


def test_a_card_comes_back_as_it_was_written(tmp_path: Path) -> None:
    runfolder.write(tmp_path, CARD)
    assert runfolder.read(tmp_path) == CARD


def test_the_folder_is_made_when_it_is_missing(tmp_path: Path) -> None:
    runfolder.write(tmp_path / "runs" / "one", CARD)
    assert runfolder.read(tmp_path / "runs" / "one") == CARD


def test_the_record_names_its_schema(tmp_path: Path) -> None:
    runfolder.write(tmp_path, CARD)
    assert json.loads((tmp_path / "run.json").read_text())["schema"] == "edge.run/1"


def test_a_card_knows_how_its_pictures_are_prepared() -> None:
    preprocess = CARD.preprocess()
    assert (preprocess.height, preprocess.width, preprocess.crop, preprocess.std) == (32, 48, 1.0, (0.5, 0.6, 0.7))


def test_labels_that_are_not_one_per_class_are_refused() -> None:
    with pytest.raises(ValueError, match="1 labels for 2 classes"):
        RunCard("efficientformer_mini", 2, (32, 32), ("only",))


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "edge.run/2"},
        {"schema": None},
        {"model": None},
        {"model": 3},
        {"num_classes": 0},
        {"num_classes": 10**12, "labels": []},
        {"num_classes": "many"},
        {"image_size": [32]},
        {"image_size": [0, 32]},
        {"image_size": [10**9, 32]},
        {"image_size": 32},
        {"labels": ["one"]},
        {"labels": [1, 2]},
        {"mean": [1, 2]},
        {"std": [0, 1, 1]},
        {"std": [float("nan"), 1, 1]},
        {"crop": 2},
        {"interpolation": "wrong"},
        {"accuracy": "good"},
    ],
)
def test_a_record_that_no_run_has_is_refused_in_one_line(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"run\.json cannot be read") as caught:
        runfolder.read(edited(tmp_path, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_record_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"run\.json cannot be read"):
        runfolder.read(tmp_path)


def test_a_folder_without_a_record_says_who_writes_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no run\.json") as caught:
        runfolder.read(tmp_path)
    assert "edge train" in caught.value.hint


def test_the_network_of_a_run_has_the_runs_head_and_size(tmp_path: Path) -> None:
    wanted = runfolder.network(tmp_path, CARD, ModelRequest(str(tmp_path)))
    assert (wanted.reference, wanted.num_classes, wanted.image_size) == ("efficientformer_mini", 2, (32, 48))


def test_the_users_image_size_wins_over_the_runs(tmp_path: Path) -> None:
    assert runfolder.network(tmp_path, CARD, ModelRequest(str(tmp_path), image_size=(64, 64))).image_size == (64, 64)


def test_a_run_of_itself_is_refused(tmp_path: Path) -> None:
    card = RunCard(str(tmp_path), 2, (32, 32))
    with pytest.raises(UsageError, match="names another folder"):
        runfolder.network(tmp_path, card, ModelRequest(str(tmp_path)))


def test_a_run_that_brings_its_own_code_is_refused(tmp_path: Path) -> None:
    card = RunCard(f"{tmp_path}/evil.py:make", 2, (32, 32))
    with pytest.raises(UsageError, match="lies in the run folder itself") as caught:
        runfolder.network(tmp_path, card, ModelRequest(str(tmp_path)))
    assert "--weights" in caught.value.hint
