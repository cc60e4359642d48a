"""`edge train` as a user types it: killed and taken up, in two processes, and with mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SMALL = (
    "train",
    "efficientformer_mini",
    "--data",
    "digits",
    "--image-size",
    "16",
    "--batch-size",
    "256",
    "--epochs",
    "3",
)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def edge(*arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=ENVIRONMENT)
    assert done.returncode == expect, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("train") / "run"
    edge(*SMALL, "--out", str(run))
    return run


def kill_once_it_has(path: Path, *arguments: str) -> None:
    """Start the command and kill it, with no chance to clean up, as soon as `path` exists."""
    command = [sys.executable, "-m", "edge", *arguments]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    while not path.exists() and running.poll() is None:
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL


@pytest.mark.parametrize("moment", ["settings.json", "checkpoint.pt.partial", "metrics.jsonl"])
def test_a_killed_run_ends_with_the_same_bytes(uninterrupted: Path, tmp_path: Path, moment: str) -> None:
    run = tmp_path / "run"
    kill_once_it_has(run / moment, *SMALL, "--out", str(run))
    document = json.loads(edge(*SMALL, "--out", str(run), "--json").stdout)
    assert document["epochs"] == 3
    assert (run / "weights.safetensors").read_bytes() == (uninterrupted / "weights.safetensors").read_bytes()
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]


def test_json_is_one_document_with_the_fields_of_the_contract(uninterrupted: Path) -> None:
    document = json.loads(edge(*SMALL, "--out", str(uninterrupted), "--json").stdout)
    assert document["schema"] == "edge.train/1"
    assert document["run"] == str(uninterrupted)
    assert document["epochs"] == 3
    last = json.loads((uninterrupted / "metrics.jsonl").read_text().splitlines()[-1])
    assert (document["train_loss"], document["accuracy"]) == (last["train_loss"], last["accuracy"])


def test_a_finished_run_says_so(uninterrupted: Path) -> None:
    assert "was finished before" in edge(*SMALL, "--out", str(uninterrupted)).stdout


def test_quiet_prints_only_the_run_folder(uninterrupted: Path) -> None:
    done = edge(*SMALL, "--out", str(uninterrupted), "-q")
    assert (done.stdout, done.stderr) == (f"{uninterrupted}\n", "")


def test_a_run_of_other_settings_is_refused(uninterrupted: Path) -> None:
    done = edge(*SMALL, "--seed", "1", "--out", str(uninterrupted), "--json", expect=2)
    error = json.loads(done.stdout)
    assert "seed is 0, not 1" in error["error"]
    assert "--out" in error["hint"]


def test_two_processes_train_one_network(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "edge"]
    options = ("--epochs", "2", "--out", str(run), "--json")
    done = subprocess.run(
        [*command, *SMALL, *options], capture_output=True, text=True, timeout=600, check=False, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)  # one document: one process speaks
    assert document["epochs"] == 2
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 2
    assert json.loads((run / "settings.json").read_text())["processes"] == 2


def test_a_missing_folder_of_pictures_is_a_usage_error(tmp_path: Path) -> None:
    done = edge("train", "efficientformer_mini", "--data", "nowhere", "--out", str(tmp_path / "run"), expect=2)
    assert "nowhere" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_misspelt_network_is_suggested(tmp_path: Path) -> None:
    done = edge("train", "efficientformer_mimi", "--data", "digits", "--out", str(tmp_path / "run"), expect=2)
    assert "efficientformer_mini" in done.stderr
