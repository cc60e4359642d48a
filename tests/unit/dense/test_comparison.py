"""Runs are compared only when they are alike but for their tasks, and better means better of each metric."""

from __future__ import annotations

import pytest

from edge import runfolder
from edge.dense.comparison import compared
from edge.errors import UsageError
from edge.training.record import Checkpoint, EpochMetrics, Record
from edge.training.score import TaskMetric

SEG = TaskMetric("mIoU", 0.4, "", True)
DEPTH = TaskMetric("RMSE", 0.5, "m", False)
SETTINGS = {"data": "scenes", "seed": 0, "epochs": 1, "lr": 0.001}


def finished(folder, metrics, **settings):
    record = Record(folder)
    record.claim({**SETTINGS, "model": folder.name, **settings})
    record.save(Checkpoint((EpochMetrics(1, 1.0, None, 0.001, 0.1, metrics),), {}))
    runfolder.write(folder, runfolder.RunCard(folder.name, 1, (32, 32)))
    return folder


@pytest.fixture
def multi(tmp_path):
    return finished(
        tmp_path / "all", {"seg": TaskMetric("mIoU", 0.5, "", True), "depth": TaskMetric("RMSE", 0.6, "m", False)}
    )


@pytest.fixture
def singles(tmp_path):
    return [finished(tmp_path / "seg", {"seg": SEG}), finished(tmp_path / "depth", {"depth": DEPTH})]


def test_a_higher_share_and_a_lower_error_are_gains(multi, singles):
    found = compared(multi, singles)
    assert found.change.by_task == pytest.approx({"seg": 0.25, "depth": -0.2})
    assert found.change.mean == pytest.approx(0.025)
    assert found.better == ("seg",)
    assert found.single == {"seg": SEG, "depth": DEPTH}


def test_runs_of_other_seeds_are_refused(multi, singles, tmp_path):
    other = finished(tmp_path / "other", {"depth": DEPTH}, seed=1)
    with pytest.raises(UsageError, match=r"seed is 0 in .* and 1 in"):
        compared(multi, [singles[0], other])


def test_a_task_without_a_run_of_its_own_is_named(multi, singles):
    with pytest.raises(UsageError, match="depth is in one only"):
        compared(multi, singles[:1])


def test_a_run_of_several_tasks_is_no_single_task_run(multi, singles):
    with pytest.raises(UsageError, match="trained for 2 tasks"):
        compared(multi, [multi, *singles])


def test_a_run_that_is_not_finished_is_refused(multi, singles):
    (singles[0] / runfolder.RECORD).unlink()
    with pytest.raises(UsageError, match="not a finished run"):
        compared(multi, singles)


def test_a_run_of_classes_is_refused(multi, tmp_path):
    with pytest.raises(UsageError, match="no metrics per task"):
        compared(multi, [finished(tmp_path / "digits", {})])


def test_a_folder_without_a_run_is_refused(multi, tmp_path):
    with pytest.raises(UsageError, match="not a training run"):
        compared(multi, [tmp_path])


def test_an_unknown_metric_cannot_be_compared(multi, tmp_path):
    blank = finished(tmp_path / "seg", {"seg": TaskMetric("mIoU", None, "", True)})
    depth = finished(tmp_path / "depth", {"depth": DEPTH})
    with pytest.raises(UsageError, match="of seg is unknown"):
        compared(multi, [blank, depth])
