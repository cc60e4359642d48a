"""`edge simulate` beyond the papers: batches, predictions, urgent tasks and masters, and their mistakes explained."""

from __future__ import annotations

import json

import pytest

from edge.__main__ import run

BOARD = ("edge-moe", "--chip", "zcu102_edgemoe")


def simulated(capsys, *arguments):
    assert run(["simulate", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *arguments):
    assert run(["simulate", *arguments]) == 2
    return capsys.readouterr().err


def test_a_batch_of_both_tasks_is_compared_with_the_frames_apart(capsys):
    batch = simulated(capsys, *BOARD, "--batch-tasks")["batch"]
    assert batch["tasks"] == ["task0", "task1"]
    assert (batch["apart_expert_loads"], batch["together_expert_loads"]) == (300, 156)
    assert batch["gain"] == pytest.approx(1 - batch["together_ms"] / batch["apart_ms"])


def test_predictions_are_counted_and_make_the_frames_shorter(capsys):
    plain, predicted = simulated(capsys, *BOARD), simulated(capsys, *BOARD, "--prefetch-experts")
    assert predicted["prediction"]["hits"] <= predicted["prediction"]["predictions"] == 6 * 7
    assert predicted["p99_ms"] < plain["p99_ms"]
    assert "prediction" not in plain


def test_an_urgent_task_waits_less_than_between_frames(capsys):
    arguments = ("--urgent", "task1", "--schedule", "poisson:25", "--frames", "20")
    urgent = simulated(capsys, *BOARD, *arguments, "--boundary", "operation")["urgent"]
    assert urgent["wait_ms"]["p50"] < urgent["wait_ms_between_frames"]["p50"]
    assert urgent["preemptions"] > 0


def test_masters_of_a_file_slow_the_worst_frame(capsys, tmp_path):
    file = tmp_path / "masters.toml"
    file.write_text('[[master]]\nname = "camera"\nbytes = 32\nperiod_us = 0.16\nbytes_per_cycle = 8\n')
    document = simulated(capsys, "toy", "--chip", "toy", "--masters", str(file))
    assert document["cycles"] == 304
    assert document["masters"]["worst_frame_ms"] > document["masters"]["worst_frame_ms_alone"] == 256 / 100_000
    assert document["masters"]["masters"][0]["late"] == 0


def test_the_phase_of_the_masters_is_not_taken_for_a_cost_of_the_switch(capsys, tmp_path):
    file = tmp_path / "masters.toml"
    file.write_text('[[master]]\nname = "display"\nbytes = 15360\nperiod_us = 7.4\nbytes_per_cycle = 16\n')
    assert simulated(capsys, *BOARD, "--masters", str(file))["switch_overhead_cycles"] == 0


def test_each_finding_is_a_line_for_a_person(capsys):
    assert run(["simulate", *BOARD, "--batch-tasks"]) == 0
    assert "2 frames batched take" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--batch-tasks", "--tasks", "task0"), "a batch of 1"),
        (("--batch-tasks", "--policy", "resident", "--chip", "zcu104"), "does not fit"),
        (("--urgent", "task9", "--schedule", "poisson:10"), "task9"),
        (("--urgent", "task1"), "arrivals with a time"),
        (("--urgent", "task1", "--schedule", "poisson:10", "--boundary", "token"), "token"),
        (("--prefetch-experts", "--policy", "token-lru"), "predicts no expert"),
        (("--masters", "none.toml"), "there is no none.toml"),
        (("--explore", "--batch-tasks"), "one frame of one task"),
        (("--explore", "--prefetch-experts"), "one frame of one task"),
        (("--explore", "--urgent", "task1"), "one frame of one task"),
    ],
)
def test_a_mistake_is_explained(options, said, capsys):
    assert said in refused(capsys, *BOARD, *options)
