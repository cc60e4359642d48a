"""`edge search` as a user types it: search, train, export, verify, profile; killed and taken up; joined; and with mistakes."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edge.search.story import Role, read

NAME = "best-60%"
TINY = (
    *("search", "vanillanet", "--data", "digits", "--image-size", "32"),
    *("--latency", "60%", "--effort", "tiny", "--target", "tflite"),
)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def edge(*arguments: object, expect: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, env=ENVIRONMENT)
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def document(*arguments: object, expect: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(edge(*arguments, "--json", expect=expect).stdout)
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search") / "run"


@pytest.fixture(scope="module")
def told(run: Path) -> dict[str, Any]:
    """What the search says, blocks timed on this host and all."""
    return document(*TINY, "--out", run)


@pytest.fixture(scope="module")
def table(run: Path, told: dict[str, Any]) -> Path:
    """What the search measured, for others that must measure nothing."""
    return run / "latency.sqlite"


def test_a_search_says_what_the_contract_asks(told: dict[str, Any], run: Path) -> None:
    assert told["schema"] == "edge.search/1"
    assert told["run"] == str(run)
    wanted = {"name", "budget_ms", "predicted_ms", "measured_ms", "accuracy", "params"}
    for network in (*told["best"], *told["baselines"]):
        assert wanted <= network.keys()
        assert network["predicted_ms"] <= 1.1 * network["budget_ms"]
        assert network["source"] == "measured"
    assert [network["name"] for network in told["best"]] == [NAME]
    assert told["trials"] >= 10


def test_what_was_found_is_a_model_that_trains_exports_verifies_and_is_profiled(
    told: dict[str, Any], run: Path, tmp_path: Path
) -> None:
    trained = document("train", run / NAME, "--data", "digits", "--epochs", "3", "--out", tmp_path / "trained")
    assert trained["accuracy"] > 0.5
    exported = document("export", tmp_path / "trained", "--target", "tflite", "--target", "onnx", "--out", tmp_path)
    assert {artifact["verdict"] for artifact in exported["artifacts"]} == {"ok"}
    for artifact in exported["artifacts"]:
        assert document("verify", artifact["path"])["verdict"] == "ok"
    profiled = document("profile", exported["artifacts"][0]["path"], "--runs", "10", "--budget", "0")
    assert profiled["source"] == "measured"


def test_the_same_command_finds_the_search_finished(told: dict[str, Any], run: Path) -> None:
    again = document(*TINY, "--out", run)
    assert again["best"] == told["best"]
    assert again["baselines"] == told["baselines"]
    assert again["evaluations_per_minute"] == told["evaluations_per_minute"] > 0


def test_the_page_stands_alone_and_the_story_is_told_as_text(told: dict[str, Any], run: Path) -> None:
    page = (run / "search.html").read_text()
    assert "//" not in page.replace("http://www.w3.org/", "").replace("//]]>", "")
    text = edge("search", "--explain", run).stdout
    assert NAME in text
    assert "vanillanet" in text
    for step in read(run).steps:
        assert step.action in text


def kill_once_it_has(path: Path, *arguments: object) -> None:
    """Start the command and kill it, with no chance to clean up, as soon as `path` exists."""
    command = [sys.executable, "-m", "edge", *map(str, arguments)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    while not path.exists() and running.poll() is None:
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL


def test_a_search_that_is_killed_again_and_again_ends_where_one_that_is_not_does(
    table: Path, run: Path, tmp_path: Path
) -> None:
    given = (*TINY, "--device", f"table:{table}")
    killed = tmp_path / "killed"
    for moment in (
        "supernet/checkpoint.pt",
        "trials.sqlite",
        "measured.json",
        "teacher/settings.json",
        "best-60%/settings.json",
    ):
        kill_once_it_has(killed / moment, *given, "--out", killed)
    document(*given, "--out", killed)
    whole_story, other = read(run), read(killed)
    supernet = Path("supernet/weights.safetensors")
    assert (killed / supernet).read_bytes() == (run / supernet).read_bytes()
    assert other.trials == whole_story.trials
    assert [step.action for step in other.steps] == [step.action for step in whole_story.steps]
    (found,) = (each for each in other.finished if each.role is Role.BEST)
    (expected,) = (each for each in whole_story.finished if each.role is Role.BEST)
    assert (found.spec, found.accuracy) == (expected.spec, expected.accuracy)


def test_another_process_joins_and_tries_networks_too(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = (*TINY, "--device", f"table:{table}", "--out", out)
    arguments = [sys.executable, "-m", "edge", *map(str, command)]
    leader = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    try:
        while not (out / "trials.sqlite").exists() and leader.poll() is None:
            time.sleep(0.05)
        joined = document("search", "--join", "--out", out)
        assert leader.wait(600) == 0
    finally:
        leader.kill()
    assert 0 <= joined["judged"] <= len(read(out).trials)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("--latency", "0.000001ms"), "between"),
        (("--latency", "900ms"), "between"),
        (("--latency", "soon"), "4.0ms"),
        (("--target", "onnx"), "target"),
        (("--strategy", "slimmin"), "slimming"),
        (("--data", "nowhere"), "nowhere"),
        (("--params", "1"), "parameters"),
    ],
)
def test_a_mistake_says_what_would_work(table: Path, tmp_path: Path, change: tuple[str, str], says: str) -> None:
    refused = edge(*TINY, "--device", f"table:{table}", "--out", tmp_path / "run", *change, expect=2)
    assert says in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_table_of_another_device_is_refused(table: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(table) as source, sqlite3.connect(other) as target:
        source.backup(target)
        (text,) = target.execute("SELECT json FROM tag").fetchone()
        target.execute("UPDATE tag SET json = ?", (json.dumps({**json.loads(text), "device": "a phone"}),))
    refused = edge(*TINY, "--device", f"table:{other}", "--out", tmp_path / "run", expect=2)
    assert "a phone" in refused.stderr


def test_a_folder_of_another_search_is_left_alone(told: dict[str, Any], run: Path) -> None:
    refused = edge(*TINY, "--out", run, "--seed", "1", expect=2)
    assert "seed is 0, not 1" in refused.stderr


def test_joining_nothing_and_explaining_nothing_are_refused(tmp_path: Path) -> None:
    assert "no search" in edge("search", "--join", "--out", tmp_path, expect=2).stderr
    assert "no search" in edge("search", "--explain", tmp_path, expect=2).stderr
