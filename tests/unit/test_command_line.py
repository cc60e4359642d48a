"""The command line starts fast, explains mistakes, and speaks JSON."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from edge.__main__ import run


def in_a_fresh_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("arguments", [["--help"], ["models"], ["export", "--help"], ["nonsense"]])
def test_starting_imports_neither_torch_nor_numpy_nor_a_toolchain(arguments):
    heavy = "('torch', 'numpy', 'rich', 'onnx', 'coremltools', 'litert_torch', 'executorch', 'sklearn', 'pydantic')"
    code = f"import sys; from edge.__main__ import run; run({arguments!r}); print([m for m in {heavy} if m in sys.modules])"
    assert in_a_fresh_process(code).splitlines()[-1] == "[]"


def test_models_lists_every_network_with_the_fields_of_the_contract(capsys):
    assert run(["models", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "edge.models/1"
    names = {row["name"] for row in document["models"]}
    assert {"efficientformer_l1", "efficientformerv2_s0", "efficientvit_m5", "vanillanet_13_x1_5"} <= names
    assert set(document["models"][0]) >= {"name", "family", "params", "params_deploy", "macs", "input_size"}


def test_doctor_has_a_row_per_toolchain(capsys):
    assert run(["doctor", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["toolchains"]
    assert {"coremltools", "litert-torch", "executorch", "onnxruntime"} <= {row["name"] for row in rows}
    assert all(set(row) >= {"name", "version", "ok", "hint"} for row in rows)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export", "efficientvit_m9"], "did you mean efficientvit_m"),
        (["export", "efficientvit_m0", "--target", "cormel"], "coreml"),
        (["exprt"], "export"),
        (["export", "efficientvit_m0", "--image-size", "big"], "224"),
        (["export", "efficientvit_m0", "--mean", "1,2"], "--mean"),
        (["export", "efficientvit_m0", "--std", "0,1,1"], "above zero"),
        (["export", "efficientvit_m0", "--precision", "int3"], "fp16"),
        (["export", "efficientvit_m0", "--coreml-target", "iOS3"], "iOS17"),
        (["export", "efficientvit_m0", "--weights", "w.pth", "--pretrained"], "one of them"),
        (["profile", "nowhere.tflite", "--device", "hots"], "host"),
        (["inspect", "nowhere.tflite"], "there is no nowhere.tflite"),
        (["verify", "nowhere"], "there is no nowhere"),
    ],
)
def test_a_mistake_ends_with_code_2_and_says_what_would_work(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    assert said in capsys.readouterr().err


def test_an_error_under_json_is_one_document(capsys):
    assert run(["export", "efficientvit_m9", "--json"]) == 2
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["schema"] == "edge.error/1"
    assert document["code"] == 2
    assert "efficientvit_m" in document["hint"]
    assert captured.err == ""


def test_options_stand_in_edge_toml_and_flags_win(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edge.toml").write_text('[export]\ntarget = ["onnx"]\nplan = true\ncoreml-target = "iOS16"\n')
    assert run(["export", "efficientvit_m0", "--json"]) == 0
    assert any("onnx" in step for step in json.loads(capsys.readouterr().out)["plan"])
    assert run(["export", "efficientvit_m0", "--json", "--target", "tflite"]) == 0
    assert not any("onnx" in step for step in json.loads(capsys.readouterr().out)["plan"])


@pytest.mark.parametrize("text", ["[export]\ntraget = 'onnx'\n", "[exprt]\ntarget = 'onnx'\n", "[export\n"])
def test_a_mistake_in_edge_toml_is_named(text, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edge.toml").write_text(text)
    assert run(["models"]) == 2
    assert "edge.toml" in capsys.readouterr().err


def test_a_fault_of_our_own_is_code_1_with_a_log_and_no_traceback(capsys, monkeypatch):
    monkeypatch.setattr("edge.plugins.names", lambda package: 1 / 0)
    assert run(["doctor"]) == 1
    captured = capsys.readouterr()
    assert "fault of edge itself" in captured.err
    assert "Traceback" not in captured.err
