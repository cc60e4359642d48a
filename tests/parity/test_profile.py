"""`edge profile` as a user types it."""

from __future__ import annotations

import json

import pytest

from edge.__main__ import run
from edge.spec import Recipe

FEW = ("--runs", "5", "--warmup", "1", "--budget", "0")


def test_operators_of_the_file_and_of_the_model_stand_in_the_json_and_on_the_page(file_of, tmp_path, capsys):
    path, page = file_of("classifier", Recipe("onnx")), tmp_path / "profile.html"
    wanted = ("--ops", "--against", "efficientvit_mini", "--html", str(page))
    assert run(["profile", str(path), *FEW, *wanted, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"conv2d", "softmax"} <= {each["type"] for each in document["reference_ops"]}
    assert any("Conv" in each["type"] for each in document["ops"])
    assert document["precision"] == "fp32"
    assert document["html"] == str(page)
    assert path.name in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--runs", "0"), "runs"),
        (("--runs", "-1"), "runs"),
        (("--threads", "0"), "threads"),
        (("--device", "hots"), "host"),
        (("--device", "all", "--html", "page.html"), "one device at a time"),
        (("--against", "no_such_model"), "no_such_model"),
    ],
)
def test_bad_input_is_refused_with_what_would_work(wrong, said, file_of, capsys):
    assert run(["profile", str(file_of("classifier", Recipe("onnx"))), *wrong]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_no_device_runs_says_which_files_are_known(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("no model")
    assert run(["profile", str(tmp_path / "notes.txt")]) == 6
    assert ".tflite" in capsys.readouterr().err
