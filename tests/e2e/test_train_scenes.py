"""`edge train --data scenes` as a user types it: killed and taken up, exported, simulated, in two processes, and with mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCENES = ("--data", "scenes", "--image-size", "32", "--scenes", "32", "--epochs", "2")
SMALL = ("train", "m3vit_mini", *SCENES)
TASKS = ["seg", "depth", "normals", "edges", "saliency"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def edge(*arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=ENVIRONMENT)
    assert done.returncode == expect, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "run"
    edge(*SMALL, "--out", str(folder))
    return folder


def test_a_killed_run_ends_with_the_same_bytes(run: Path, tmp_path: Path) -> None:
    killed = tmp_path / "run"
    command = [sys.executable, "-m", "edge", *SMALL, "--out", str(killed)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    while not (killed / "metrics.jsonl").exists() and running.poll() is None:
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    document = json.loads(edge(*SMALL, "--out", str(killed), "--json").stdout)
    assert (document["epochs"], document["epochs_trained"]) == (2, 1)
    for name in ("weights.safetensors", "routing-seg.npz", "workload.toml"):
        assert (killed / name).read_bytes() == (run / name).read_bytes()


def test_json_has_the_fields_of_the_contract_and_a_metric_per_task(run: Path) -> None:
    document = json.loads(edge(*SMALL, "--out", str(run), "--json").stdout)
    assert document["schema"] == "edge.train/1"
    assert (document["run"], document["epochs"]) == (str(run), 2)
    assert list(document["metrics"]) == TASKS
    assert document["accuracy"] == document["metrics"]["seg"]["value"]
    assert document["metrics"]["depth"]["unit"] == "m"
    assert [document["metrics"][task]["higher_is_better"] for task in TASKS] == [True, False, False, True, True]


def test_the_text_names_every_task_and_what_there_is_to_see(run: Path) -> None:
    said = edge(*SMALL, "--out", str(run)).stdout
    assert all(task in said for task in (*TASKS, "workload.toml", "routing.html"))


def test_the_usual_recipe_for_maps_is_another_than_for_classes(run: Path) -> None:
    settings = json.loads((run / "settings.json").read_text())
    assert (settings["batch_size"], settings["lr"], settings["label_smoothing"]) == (8, 1e-3, 0.0)


def test_a_run_is_a_model_and_so_is_each_of_its_tasks(run: Path, tmp_path: Path) -> None:
    edge("export", str(run), "--target", "onnx", "--out", str(tmp_path / "all"))
    weights = ("--weights", str(run / "weights.safetensors"), "--num-classes", "7", "--image-size", "32")
    edge("export", "m3vit_mini_seg", *weights, "--target", "onnx", "--out", str(tmp_path / "seg"))
    (whole,), (alone,) = ((tmp_path / name).rglob("*.onnx") for name in ("all", "seg"))
    assert alone.stat().st_size < whole.stat().st_size
    outputs = json.loads(edge("inspect", str(whole), "--json").stdout)["card"]["outputs"]
    assert len(outputs) == len(TASKS)


def test_the_simulator_runs_the_recorded_routing_of_each_task(run: Path) -> None:
    document = json.loads(edge("simulate", str(run / "workload.toml"), "--chip", "zcu104", "--json").stdout)
    assert document["routing"] == "recorded"


def test_two_processes_train_one_network(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "edge"]
    options = ("--out", str(tmp_path / "run"), "--json")
    done = subprocess.run(
        [*command, *SMALL, *options], capture_output=True, text=True, timeout=600, check=False, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout)["metrics"]) == TASKS


@pytest.mark.parametrize(
    ("model", "data", "words"),
    [("efficientformer_mini", "scenes", "map per task"), ("m3vit_mini", "digits", "--data scenes")],
)
def test_data_for_another_kind_of_network_is_a_usage_error(model: str, data: str, words: str, tmp_path: Path) -> None:
    done = edge("train", model, "--data", data, "--out", str(tmp_path / "run"), expect=2)
    assert words in done.stderr
    assert not (tmp_path / "run" / "weights.safetensors").exists()


def test_a_size_that_is_no_whole_patches_is_a_usage_error(tmp_path: Path) -> None:
    done = edge("train", "m3vit_mini", "--data", "scenes", "--image-size", "40", "--out", str(tmp_path / "r"), expect=2)
    assert "multiples" in done.stderr
