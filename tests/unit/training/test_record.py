"""A run folder survives kills, tells its runs apart, and never runs what it reads."""

from __future__ import annotations

import json
import pickle

import pytest
import torch

from edge.errors import UsageError, WeightsError
from edge.training.record import CHECKPOINT, METRICS, PARTIAL, Checkpoint, EpochMetrics, Record
from edge.training.score import TaskMetric

SETTINGS = {"model": "toy", "epochs": 3, "batch_size": 4, "leak_epochs": None}


def metrics(epoch):
    return EpochMetrics(epoch, 1.0 / epoch, 0.5, 0.001, 0.1)


def checkpoint(epochs):
    return Checkpoint(
        tuple(map(metrics, range(1, epochs + 1))), {"network": {"weight": torch.full((2,), float(epochs))}}
    )


@pytest.fixture
def record(tmp_path):
    record = Record(tmp_path / "run")
    record.claim(SETTINGS)
    return record


def test_a_new_run_has_no_checkpoint(record):
    assert record.checkpoint() is None


def test_the_same_settings_take_the_run_up(record):
    record.save(checkpoint(1))
    record.claim(SETTINGS)
    assert len(record.checkpoint().history) == 1


def test_a_run_without_a_complete_epoch_may_change_its_settings(record):
    record.claim({**SETTINGS, "batch_size": 8})
    record.save(checkpoint(1))
    record.claim({**SETTINGS, "batch_size": 8})


def test_other_settings_are_refused_by_name(record):
    record.save(checkpoint(1))
    with pytest.raises(UsageError, match="batch size is 4, not 8") as caught:
        record.claim({**SETTINGS, "batch_size": 8})
    assert "--out" in caught.value.hint


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="not a training run"):
        Record(tmp_path).claim(SETTINGS)


def test_a_run_that_was_killed_while_it_wrote_its_settings_begins(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / f"settings.json{PARTIAL}").write_text("{")
    Record(tmp_path / "run").claim(SETTINGS)
    assert Record(tmp_path / "run").settings() == SETTINGS


def test_damaged_settings_are_refused(record):
    record.save(checkpoint(1))
    (record.folder / "settings.json").write_text("{")
    with pytest.raises(UsageError, match=r"settings\.json"):
        record.claim(SETTINGS)


def test_a_checkpoint_comes_back_as_it_was(record):
    record.save(checkpoint(2))
    found = record.checkpoint()
    assert found.history == (metrics(1), metrics(2))
    assert torch.equal(found.states["network"]["weight"], torch.full((2,), 2.0))


def test_the_metrics_have_one_line_per_epoch(record):
    record.save(checkpoint(1))
    record.save(checkpoint(2))
    lines = (record.folder / METRICS).read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


def test_a_kill_while_a_checkpoint_is_written_leaves_the_last_one(record, monkeypatch):
    record.save(checkpoint(1))

    def killed(content, file):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        record.save(checkpoint(2))
    assert record.checkpoint().history == (metrics(1),)
    assert (record.folder / (CHECKPOINT + PARTIAL)).read_bytes() == b"half"


def test_a_truncated_checkpoint_is_refused(record):
    record.save(checkpoint(1))
    path = record.folder / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(WeightsError, match=CHECKPOINT):
        record.checkpoint()


@pytest.mark.parametrize("content", [b"", b"noise", pickle.dumps(print, 2), pickle.dumps({"history": 3}, 2)])
def test_what_is_no_checkpoint_is_refused(record, content):
    (record.folder / CHECKPOINT).write_bytes(content)
    with pytest.raises(WeightsError, match=CHECKPOINT):
        record.checkpoint()


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_checkpoint_that_wants_to_run_code_is_refused(record, tmp_path):
    torch.save({"history": [], "states": {"network": Trap(tmp_path / "touched")}}, record.folder / CHECKPOINT)
    with pytest.raises(WeightsError, match=CHECKPOINT):
        record.checkpoint()
    assert not (tmp_path / "touched").exists()


def test_sweeping_leaves_only_what_a_finished_run_needs(record):
    record.save(checkpoint(3))
    (record.folder / (METRICS + PARTIAL)).write_text("half")
    (record.folder / ".weights.safetensors.x1y2").mkdir()
    record.sweep()
    assert sorted(path.name for path in record.folder.iterdir()) == [METRICS, "settings.json"]


@pytest.mark.parametrize("text", ["", "{", '{"epoch": 1}\n'])
def test_metrics_changed_by_hand_are_refused(record, text):
    (record.folder / METRICS).write_text(text)
    with pytest.raises(UsageError, match=METRICS):
        record.metrics()


def test_metrics_of_each_task_come_back(record):
    tasks = {"depth": TaskMetric("RMSE", 0.5, "m", False), "edges": TaskMetric("F within 1 px", None, "", True)}
    epoch = EpochMetrics(1, 2.0, None, 0.001, 0.1, tasks)
    record.save(Checkpoint((epoch,), {}))
    assert record.metrics() == record.checkpoint().history == (epoch,)
    assert epoch.words == "depth RMSE 0.5 m, edges F within 1 px unknown"


def test_metrics_written_before_there_were_tasks_are_read(record):
    line = {"epoch": 1, "train_loss": 2.0, "accuracy": 0.5, "lr": 0.001, "seconds": 0.1}
    (record.folder / METRICS).write_text(json.dumps(line) + "\n")
    (epoch,) = record.metrics()
    assert (epoch.accuracy, epoch.metrics, epoch.words) == (0.5, {}, "accuracy 50.00%")
