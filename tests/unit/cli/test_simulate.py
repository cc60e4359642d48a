"""`edge simulate`: the options and the JSON of the contract, and every mistake explained."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge.__main__ import run

FIELDS = {
    "chip", "policy", "cycles", "latency_ms", "ops", "dram_bytes", "on_chip_peak_bytes", "energy_mj",
    "switch_overhead_cycles", "utilisation", "p50_ms", "p99_ms", "deadline_misses",
}  # fmt: skip


def simulated(capsys, *arguments):
    assert run(["simulate", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_worked_example_takes_256_cycles(capsys):
    arguments = ["toy", "--chip", "toy", "--policy", "expert-reorder", "--buffers", "2", "--granularity", "expert"]
    document = simulated(capsys, *arguments)
    assert document["schema"] == "edge.simulate/1"
    assert {*document} >= FIELDS
    assert (document["cycles"], document["dram_bytes"], document["utilisation"]) == (256, {"weights": 1536}, 0.75)


@pytest.mark.parametrize(
    ("options", "cycles"),
    [
        ("--granularity matrix", 232),
        ("--buffers 1", 384),
        ("--order shortest-first", 272),
        ("--contention 2", 306),
        ("--policy token-lru --cache 2", 704),
        ("--policy token-lru --cache 2 --prefetch", 592),
        ("--policy resident", 192),
    ],
)
def test_options_change_the_schedule(options, cycles, capsys):
    assert simulated(capsys, "toy", "--chip", "toy", *options.split())["cycles"] == cycles


def test_energy_is_split_and_the_fitted_part_named(capsys):
    document = simulated(capsys, "edge-moe", "--chip", "zcu102_edgemoe")
    energy = document["energy_mj"]
    assert energy["total"] == pytest.approx(energy["static"] + energy["mac"] + energy["dram"] + energy["sram"])
    assert document["energy_calibrated"] == ["static_w"]


def test_tasks_switch_for_nothing_and_meet_their_deadlines(capsys):
    document = simulated(capsys, "edge-moe", "--tasks", "task1,task0", "--deadline", "30", "--frames", "7")
    found = document["task"], document["switch_overhead_cycles"], document["frames"], document["deadline_misses"]
    assert found == ("task1", 0, 7, 0)


def test_a_model_swap_shows_in_the_tail(capsys):
    document = simulated(capsys, "edge-moe", "--policy", "task-model-swap")
    assert document["switch_overhead_cycles"] > 600_000
    assert document["p99_ms"] > document["latency_ms"] + 2


def test_a_trace_is_written(tmp_path, capsys):
    target = tmp_path / "toy.json"
    assert simulated(capsys, "toy", "--chip", "toy", "--trace", str(target))["trace"] == str(target)
    assert json.loads(target.read_text())["traceEvents"]


def test_a_page_is_written(tmp_path, capsys):
    target = tmp_path / "toy.html"
    assert simulated(capsys, "toy", "--chip", "toy", "--html", str(target))["html"] == str(target)
    assert target.read_text().startswith("<!doctype html>")


def test_quiet_prints_the_files_alone(tmp_path, capsys):
    trace, page = str(tmp_path / "toy.json"), str(tmp_path / "toy.html")
    assert run(["simulate", "toy", "--chip", "toy", "--trace", trace, "--html", page, "--quiet"]) == 0
    assert capsys.readouterr().out.split() == [trace, page]


def test_a_recorded_routing_of_the_network_is_taken(tmp_path, capsys):
    np.savez(tmp_path / "seen.npz", layer_0=np.array([[0, 1], [0, 2], [0, 1], [1, 2], [0, 1], [0, 2]]))
    document = simulated(capsys, "toy", "--chip", "toy", "--routing", str(tmp_path / "seen.npz"))
    assert (document["routing"], document["cycles"]) == ("recorded", 256)


def test_a_person_reads_that_it_is_simulated(capsys):
    assert run(["simulate", "edge-moe", "--chip", "zcu102_edgemoe"]) == 0
    said = capsys.readouterr().out
    assert "linear array 29.9%" in said
    assert "port inout2 64.4%" in said
    assert "every number is simulated" in said
    assert "fitted or assumed: static_w" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tyo"], "toy"),
        (["toy", "--chip", "zcu105"], "zcu104"),
        (["toy", "--policy", "expert-reordr"], "expert-reorder"),
        (["toy", "--order", "shortest"], "shortest-first"),
        (["toy", "--granularity", "half"], "matrix"),
        (["toy", "--buffers", "0"], "--buffers"),
        (["toy", "--cache", "2"], "token-lru"),
        (["toy", "--policy", "token-lru", "--cache", "0"], "--cache"),
        (["toy", "--chip", "toy", "--contention", "8"], "without it there are 8.00"),
        (["toy", "--contention", "nan"], "background_bytes_per_cycle is nan"),
        (["edge-moe", "--tasks", "task0,task9"], "task9"),
        (["edge-moe", "--schedule", "sometimes"], "round-robin"),
        (["edge-moe", "--schedule", "poisson:0"], "poisson:30"),
        (["edge-moe", "--deadline", "nan"], "deadline of nan ms"),
        (["edge-moe", "--policy", "resident"], "would fit"),
        (["edge-moe", "--routing", "seen.npz"], "record the routing with this network"),
        (["edge-moe", "--schedule", "seen.csv"], "task0"),
        (["none.toml"], "edge-moe"),
        (["m3vit_tinny"], "m3vit_tiny"),
        (["efficientvit_m0"], "m3vit_tiny"),
    ],
)
def test_a_mistake_ends_with_code_2_and_says_what_would_work(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("seen.npz", layer_0=np.array([[0, 1]]))
    (tmp_path / "seen.csv").write_text("time_ms,task\n1,parts\n")
    assert run(["simulate", *arguments]) == 2
    assert said in capsys.readouterr().err
