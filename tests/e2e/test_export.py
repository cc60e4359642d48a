"""`edge export`, `verify`, `run`, `inspect` and `profile`, as a user types them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TOY = Path(__file__).parents[1] / "fakes" / "toy.py"
NETWORK = f"{TOY}:network"
TARGETS = {"coreml", "executorch", "onnx", "tflite"}


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    os.environ["EDGE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    del os.environ["EDGE_CACHE"]


def edge(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def document(*arguments: str | Path) -> dict:
    done = edge(*arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> dict:
    return document("export", NETWORK, "--target", "all", "--out", tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def files(exported) -> dict[str, Path]:
    return {artifact["target"]: Path(artifact["path"]) for artifact in exported["artifacts"]}


@pytest.fixture
def picture(tmp_path) -> Path:
    path = tmp_path / "a picture; with $(odd) 'name'.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(path)
    return path


def test_every_target_comes_out_with_the_fields_of_the_contract(exported):
    assert {artifact["target"] for artifact in exported["artifacts"]} == TARGETS
    fields = {
        "target",
        "path",
        "bytes",
        "sha256",
        "precision",
        "verdict",
        "relative_error",
        "sqnr_db",
        "top1_agreement",
    }
    assert all(set(artifact) >= fields | {"seconds", "cached"} for artifact in exported["artifacts"])


def test_every_file_was_executed_and_is_the_model(exported):
    assert {artifact["verdict"] for artifact in exported["artifacts"]} == {"ok"}
    assert all(artifact["relative_error"] < 1e-4 for artifact in exported["artifacts"])


def test_the_folder_is_named_after_model_precision_and_size_and_holds_the_labels(exported):
    folder = Path(exported["folder"])
    assert folder.name == "toy_network-fp32-32x32"
    assert (folder / "labels.txt").read_text() == "a\nb\nc\nd\ne\n"
    assert {artifact["target"] for artifact in json.loads((folder / "edge.json").read_text())["artifacts"]} == TARGETS


def test_verify_takes_the_folder(exported):
    verified = document("verify", exported["folder"], "--against", NETWORK)
    assert {Path(row["artifact"]).suffix: row["verdict"] for row in verified["results"]}[".onnx"] == "ok"


def test_code_that_a_file_names_is_not_run_on_its_word(exported, files):
    for path in (exported["folder"], files["onnx"]):
        refused = edge("verify", path)
        assert refused.returncode == 2
        assert f"--against {NETWORK}" in refused.stderr


def test_bisecting_takes_one_file(exported):
    refused = edge("verify", exported["folder"], "--against", NETWORK, "--bisect")
    assert refused.returncode == 2
    assert "takes one file" in refused.stderr
    assert ".mlpackage" in refused.stderr


def test_verify_takes_a_file_and_another_model(files):
    assert document("verify", files["onnx"], "--against", NETWORK)["verdict"] == "ok"
    other = edge("verify", files["onnx"], "--against", "efficientvit_mini", "--json")
    assert other.returncode == 3
    assert json.loads(other.stdout)["verdict"] == "failed"


def test_every_file_gives_the_same_labels_for_a_picture(files, picture):
    answers = [
        document("run", files[target], picture)["results"][0]["top"]
        for target in ("coreml", "tflite", "onnx", "executorch")
    ]
    assert {row["label"] for row in answers[0]} == set("abcde")
    for answer in answers[1:]:
        assert [row["label"] for row in answer] == [row["label"] for row in answers[0]]
        assert [row["score"] for row in answer] == pytest.approx([row["score"] for row in answers[0]], abs=1e-5)


def test_inspect_shows_card_operators_and_delegates(files):
    shown = document("inspect", files["executorch"])
    assert shown["card"]["labels"] == ["a", "b", "c", "d", "e"]
    assert shown["operators"]
    assert shown["delegates"]["partitions"] >= 1


def test_a_file_with_an_operator_that_nothing_here_knows_is_not_executed_and_says_which(files, tmp_path):
    from exporters.coreml import package

    path = tmp_path / "newer.mlpackage"
    shutil.copytree(files["coreml"], path)
    model = package.read(path)
    next(each for each in package.operations(model) if each.type == "conv").type = "conv_of_tomorrow"
    package.model_file(path).write_bytes(model.SerializeToString())
    done = edge("verify", path, "--against", NETWORK, "--json")
    assert done.returncode == 6
    verdict = json.loads(done.stdout)
    assert (verdict["verdict"], verdict["executed_by"], verdict["relative_error"]) == ("not executed", "nothing", None)
    assert "conv_of_tomorrow" in verdict["reason"]


def test_inspect_gives_hints_about_placement_with_their_sources(files):
    hints = document("inspect", files["coreml"], "--lint")["lint"]
    assert {"float32"} <= {hint["rule"] for hint in hints}
    assert all(hint["source"] and hint["operators"] for hint in hints)
    shown = edge("inspect", files["coreml"], "--lint").stdout
    assert "Hints, not facts" in shown
    assert "source: hollance" in shown


def test_inspect_tells_what_float16_would_cost(files):
    told = document("inspect", files["coreml"], "--numerics")["numerics"]
    assert {"name", "type", "index", "overflowed", "subnormal", "bits_lost", "why"} <= told["operators"][0].keys()
    assert told["flagged"] == []
    assert "0 of" in edge("inspect", files["coreml"], "--numerics").stdout
    refused = edge("inspect", files["executorch"], "--numerics")
    assert refused.returncode == 2
    assert "--target coreml" in refused.stderr


def test_core_ml_is_executed_and_timed_by_the_reference_runtime_which_says_so(files):
    timed = document("profile", files["coreml"], "--runs", "3")
    if sys.platform == "linux":
        assert timed["source"] == "reference-runtime"
        assert "not Core ML" in timed["runtime"]


def test_profile_says_where_the_number_came_from(files):
    timed = document("profile", files["tflite"], "--runs", "7", "--budget", "0")  # one round, however noisy
    assert timed["source"] == "measured"
    assert len(timed["samples_ms"]) == 7
    assert timed["ci95_ms"][0] <= timed["median_ms"] <= timed["ci95_ms"][1]


def test_quiet_prints_only_paths(exported, tmp_path):
    done = edge("export", NETWORK, "--target", "onnx", "--out", tmp_path, "-q")
    assert done.stdout.split() == [str(tmp_path / "toy_network-fp32-32x32" / "toy_network.onnx")]


def test_a_second_export_of_a_named_model_comes_from_the_cache_and_equals_the_first(tmp_path):
    first = document("export", "efficientvit_mini", "--target", "onnx", "--out", tmp_path / "a")["artifacts"][0]
    second = document("export", "efficientvit_mini", "--target", "onnx", "--out", tmp_path / "b")["artifacts"][0]
    assert not first["cached"]
    assert second["cached"]
    assert second["sha256"] == first["sha256"]
    assert second["verdict"] == "ok"


def test_another_model_does_not_overwrite_unless_forced(tmp_path):
    document("export", "efficientvit_mini", "--target", "onnx", "--out", tmp_path)
    refused = edge("export", "efficientvit_mini", "--seed", "1", "--target", "onnx", "--out", tmp_path)
    assert refused.returncode == 2
    assert "--force" in refused.stderr
    document("export", "efficientvit_mini", "--seed", "1", "--target", "onnx", "--out", tmp_path, "--force")


def test_a_target_joins_the_folder_of_an_earlier_export(tmp_path):
    document("export", "efficientvit_mini", "--target", "onnx", "--out", tmp_path)
    folder = Path(document("export", "efficientvit_mini", "--target", "tflite", "--out", tmp_path)["folder"])
    recorded = json.loads((folder / "edge.json").read_text())["artifacts"]
    assert [artifact["target"] for artifact in recorded] == ["onnx", "tflite"]


def test_a_picture_input_and_half_precision_verify(tmp_path):
    made = document(
        "export",
        "efficientvit_mini",
        "--target",
        "tflite,onnx,executorch",
        "--input",
        "image",
        "--precision",
        "fp16",
        "--out",
        tmp_path,
    )
    assert {artifact["verdict"] for artifact in made["artifacts"]} == {"ok"}
    assert Path(made["folder"]).name == "efficientvit_mini-fp16-32x32"


def test_a_model_that_cannot_be_captured_is_code_4_and_named(tmp_path):
    done = edge("export", f"{TOY}:value_dependent", "--target", "onnx", "--out", tmp_path)
    assert done.returncode == 4
    assert "ValueDependent" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_conversion_past_its_time_limit_is_code_4_and_leaves_nothing(tmp_path):
    done = edge("export", "efficientvit_mini", "--seed", "7", "--target", "tflite", "--timeout", "1", "--out", tmp_path)
    assert done.returncode == 4
    assert "--timeout" in done.stderr
    assert list(tmp_path.rglob("*.tflite")) == []


def test_labels_must_be_as_many_as_classes(tmp_path):
    (tmp_path / "labels.txt").write_text("one\ntwo\n")
    done = edge(
        "export", "efficientvit_mini", "--labels", tmp_path / "labels.txt", "--target", "onnx", "--out", tmp_path
    )
    assert done.returncode == 2
    assert "2" in done.stderr
    assert "10" in done.stderr


def test_an_input_size_that_the_network_cannot_take_is_code_2(tmp_path):
    done = edge("export", "efficientformerv2_s0", "--image-size", "16", "--target", "onnx", "--out", tmp_path)
    assert done.returncode == 2
    assert "16x16" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("suffix", [".tflite", ".pte", ".onnx", ".mlpackage"])
@pytest.mark.parametrize("command", ["verify", "run", "inspect"])
def test_a_random_file_is_code_2(suffix, command, tmp_path, picture):
    path = tmp_path / f"random{suffix}"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    done = edge(command, path, *([picture] if command == "run" else []))
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr


def test_an_unreadable_picture_is_code_2(files, tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    done = edge("run", files["onnx"], tmp_path / "text.png")
    assert done.returncode == 2
    assert "text.png" in done.stderr


def test_a_place_that_cannot_be_written_is_code_2(tmp_path):
    (tmp_path / "file").write_text("")
    done = edge("export", "efficientvit_mini", "--target", "onnx", "--out", tmp_path / "file")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_one_line_and_leaves_no_half_file(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("a small disk can only be mounted by root")
    try:
        done = edge("export", "efficientvit_mini", "--target", "onnx", "--out", disk)
        assert done.returncode == 2
        assert "No space left" in done.stderr
        assert [file for file in disk.rglob("*") if file.is_file()] == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_killing_an_export_leaves_no_half_file(tmp_path):
    command = [
        sys.executable,
        "-m",
        "edge",
        "export",
        "efficientvit_mini",
        "--seed",
        "5",
        "--target",
        "onnx,tflite",
        "--out",
        str(tmp_path),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(4)
    process.send_signal(signal.SIGKILL)
    process.wait()
    models = [
        file
        for file in tmp_path.rglob("*")
        if file.suffix in {".onnx", ".tflite"} and not file.parent.name.startswith(".")
    ]
    for model in models:  # what is there is whole
        assert edge("inspect", model).returncode == 0
