"""A folder leads to its exports and to the training they came from; a damaged one to an error of ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge import runfolder
from edge.errors import BadArtifactError, UsageError
from edge.export_folder import ExportFolder
from edge.reference import ModelRequest
from edge.report.find import METRICS, epochs, find
from edge.runfolder import RunCard


def export(folder: Path, reference: str) -> Path:
    folder.mkdir(parents=True)
    ExportFolder(folder, ModelRequest(reference), ()).record(())
    return folder


def trained(folder: Path, *lines: object) -> Path:
    runfolder.write(folder, RunCard("net", 2, (8, 8), data="digits"))
    (folder / METRICS).write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return folder


def epoch(number: object, loss: object = 1.0, accuracy: object = 0.5) -> dict[str, object]:
    return {"epoch": number, "train_loss": loss, "accuracy": accuracy}


def test_an_export_of_a_run_leads_to_the_run(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", epoch(1))
    made = export(tmp_path / "net-fp32-32x32", str(run))
    assert find(made).exports == (made,)
    assert find(made).run == run.resolve()


def test_a_folder_above_leads_to_every_export_in_it(tmp_path: Path) -> None:
    first, second = export(tmp_path / "a", "net"), export(tmp_path / "b", "net")
    assert find(tmp_path).exports == (first, second)
    assert find(tmp_path).run is None


def test_a_run_leads_to_the_exports_of_it_that_lie_beside_it(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", epoch(1))
    made = export(tmp_path / "made", str(run))
    export(tmp_path / "other", "net")
    assert find(run).exports == (made,)


@pytest.mark.parametrize("name", ["empty", "absent"])
def test_a_folder_without_exports_says_how_to_make_some(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError) as caught:
        find(tmp_path / name)
    assert "edge export" in caught.value.hint


def test_an_epoch_that_was_trained_twice_counts_once_and_in_order(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", epoch(1), epoch(2, 0.9), epoch(3, 0.5), epoch(2, 0.7, None))
    curve = epochs(run)
    assert [each.number for each in curve] == [1, 2, 3]
    assert (curve[1].train_loss, curve[1].accuracy) == (0.7, None)


def test_a_run_without_a_curve_has_no_epochs(tmp_path: Path) -> None:
    assert epochs(tmp_path) == ()


@pytest.mark.parametrize(
    "line",
    ["not json", "[]", "3", {"epoch": 1}, epoch("x"), epoch(1, None), epoch(1, float("nan")), epoch(float("inf")), epoch(1, 1, [])],
)  # fmt: skip
def test_a_damaged_curve_is_refused(tmp_path: Path, line: object) -> None:
    with pytest.raises(BadArtifactError, match="metrics"):
        epochs(trained(tmp_path / "run", line))
