"""onnxruntime on a board: what our script is told and says, and what is made of it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from devices._runners import runner_for, suffixes
from devices._runners.onnx_wheel import PROFILE, SCRIPT, OnnxWheel
from edge import plugins
from edge.device_state import DeviceInfo, DeviceState
from edge.errors import BadArtifactError, DeviceError, NotExecutableHereError, ToolchainMissingError
from edge.machine import Finished, Machine
from edge.protocol import TimingPlan

BOARD = DeviceInfo("linux:pi@board", "linux", "ready", abi="aarch64")
PLAN = TimingPlan(warmup=1, runs=2, threads=3)
FOLDER = PurePosixPath("/tmp/edge 1")
SAYS = {
    "machine": "aarch64", "runtime": "onnxruntime 1.31.1 (Python 3.11.2)", "threads": 3, "warmup": 1, "runs": 2,
    "init_ms": 40.5, "peak_rss_kb": 66000, "runs_ns": [[1000, 2_000_000], [2_001_000, 3_000_000]],
}  # fmt: skip
FAKES = """
import os, time
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1", "it would report home"
__version__ = os.environ["VERSION"]
class SessionOptions: pass
class Ends: name, type, shape = "image", "tensor(float)", ["batch", 3]
class InferenceSession:
    def __init__(self, path, options, providers):
        if "broken" in path: raise RuntimeError("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF")
        print(options.intra_op_num_threads, options.inter_op_num_threads, providers)
        self.profile = getattr(options, "profile_file_prefix", None)
    def get_inputs(self): return [Ends]
    def run(self, outputs, feeds): print(feeds); time.sleep(0.001)
    def end_profiling(self): open(self.profile + "_now", "w").write("[]"); return self.profile + "_now"
"""


@dataclass
class Scripted(Machine):
    """A board on which every command ends so."""

    ends: Finished

    folder = FOLDER

    def info(self) -> DeviceInfo:
        return BOARD

    def state(self) -> DeviceState:
        return DeviceState(0.0)

    def push(self, local: Path, remote: PurePosixPath) -> None: ...

    def pull(self, remote: PurePosixPath, local: Path) -> None: ...

    def run(
        self,
        command: Sequence[str],
        *,
        timeout_s: float,  # noqa: ARG002
        environment: Mapping[str, str] = {},  # noqa: ARG002
        on_line: Callable[[str], None] | None = None,  # noqa: ARG002
    ) -> Finished:
        assert tuple(command) == ("python3", "/tmp/edge 1/time_onnx.py")
        return self.ends

    def remove(self, remote: PurePosixPath) -> None: ...

    def prepare(self) -> None: ...

    def leave(self) -> None: ...


def asked(stdout: str, exit_code: int = 0, stderr: str = "") -> str:
    return OnnxWheel().runtime(Scripted(Finished(exit_code, stdout, stderr)), OnnxWheel().program(BOARD))


def failure(stage: str, error: str) -> str:
    return json.dumps({"error": error, "stage": stage})


@pytest.fixture
def script(tmp_path):
    """Our script in this Python, beside a numpy and an onnxruntime that tell what they are given."""
    (tmp_path / "onnxruntime.py").write_text(FAKES)
    (tmp_path / "numpy.py").write_text("def zeros(shape, kind): return f'{kind} {shape}'")

    def start(*arguments: str, version: str = "1.31.1") -> Finished:
        command = (sys.executable, "-S", str(SCRIPT), *arguments)
        environment = {"PYTHONPATH": str(tmp_path), "VERSION": version}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
        return Finished(done.returncode, done.stdout, done.stderr)

    return start


def test_boards_run_onnx_files_and_phones_do_not():
    assert runner_for(Path("a.onnx")).name == "onnxruntime"
    assert ".onnx" in suffixes("linux")
    assert suffixes("android") == {".tflite", ".pte"}
    assert not plugins.device("android").can_run(Path("a.onnx"))
    with pytest.raises(NotExecutableHereError, match="no Python on android") as refused:
        OnnxWheel().program(DeviceInfo("android:1", "android", "ready"))
    assert "--target tflite" in refused.value.hint


def test_only_our_script_is_sent():
    assert OnnxWheel().program(BOARD).files == ((SCRIPT, "time_onnx.py"),)
    assert SCRIPT.is_file()


def test_the_board_says_which_runtime_it_has():
    assert asked(json.dumps({"runtime": "onnxruntime 1.31.1 (Python 3.11.2)"})) == "onnxruntime 1.31.1 (Python 3.11.2)"


@pytest.mark.parametrize("code", [126, 127])
def test_a_board_without_python_is_told_how_to_get_it(code):
    with pytest.raises(ToolchainMissingError, match="no python3 on linux:pi@board") as missing:
        asked("", code, "setsid: failed to execute python3: No such file or directory")
    assert "python3 -m pip install onnxruntime" in missing.value.hint


def test_a_board_without_onnxruntime_is_told_how_to_get_it():
    with pytest.raises(ToolchainMissingError, match="No module named 'onnxruntime'") as missing:
        asked(failure("library", "ModuleNotFoundError: No module named 'onnxruntime'"), 3)
    assert "python3 -m pip install onnxruntime" in missing.value.hint


@pytest.mark.parametrize("text", ["", "Python 2.7", "{}", "[]", json.dumps(SAYS)[:-20]])
def test_a_board_that_says_something_else_gives_no_runtime(text):
    with pytest.raises(DeviceError):
        asked(text)


def test_what_the_script_says_is_the_round():
    found = OnnxWheel().round(Finished(0, json.dumps(SAYS), ""), {})
    assert (found.samples_ms, found.init_ms, found.peak_rss_kb) == ((2.0, 3.0), 40.5, 66000)


@pytest.mark.parametrize(("stage", "code", "error"), [("model", 4, BadArtifactError), ("run", 5, DeviceError)])
def test_the_script_s_own_errors_keep_their_kind(stage, code, error):
    with pytest.raises(error, match="INVALID_PROTOBUF"):
        OnnxWheel().round(Finished(code, failure(stage, "INVALID_PROTOBUF"), ""), {})


def test_the_operators_are_those_of_the_profile_after_the_warm_up(tmp_path):
    kernel = {"cat": "Node", "name": "conv_kernel_time", "args": {"op_name": "Conv"}}
    (tmp_path / PROFILE).write_text(json.dumps([{**kernel, "dur": us} for us in (900, 10, 30)]))
    found = OnnxWheel().operators(Finished(0, json.dumps(SAYS), ""), {PROFILE: tmp_path / PROFILE})
    assert [(each.name, each.type, each.ms) for each in found] == [("conv", "Conv", 0.02)]


@pytest.mark.parametrize("profile", ["", "[1]", '[{"cat": "Node", "name": "conv_kernel_time"}]'])
def test_a_damaged_profile_is_the_devices_fault(tmp_path, profile):
    (tmp_path / PROFILE).write_text(profile)
    with pytest.raises(DeviceError, match="profile cannot be read"):
        OnnxWheel().operators(Finished(0, json.dumps(SAYS), ""), {PROFILE: tmp_path / PROFILE})


@pytest.mark.parametrize("changed", [{"warmup": -1}, {"warmup": "1"}, {"warmup": None}])
def test_a_profile_whose_warm_up_is_unknown_is_refused(tmp_path, changed):
    with pytest.raises(DeviceError, match="warm-ups"):
        OnnxWheel().operators(Finished(0, json.dumps({**SAYS, **changed}), ""), {})


def test_a_profile_that_is_not_there_is_missed():
    with pytest.raises(DeviceError, match="no profile"):
        OnnxWheel().operators(Finished(0, json.dumps(SAYS), ""), {})


def test_the_script_loads_once_and_runs_as_the_plan_says(script, tmp_path):
    finished = script(*OnnxWheel().invocation(FOLDER, "model.onnx", PLAN).command[2:])
    *told, _ = finished.stdout.splitlines()
    assert told == ["3 1 ['CPUExecutionProvider']", *["{'image': 'float32 [1, 3]'}"] * (PLAN.warmup + PLAN.runs)]
    found = OnnxWheel().round(finished, {})
    assert len(found.samples_ms) == PLAN.runs
    assert min(found.samples_ms) > 0
    assert found.peak_rss_kb is not None
    assert found.peak_rss_kb > 1000


def test_the_script_leaves_the_profile_under_the_name_that_is_pulled(script, tmp_path):
    invocation = OnnxWheel().operators_invocation(PurePosixPath(tmp_path), "model.onnx", PLAN)
    assert script(*invocation.command[2:]).exit_code == 0
    assert (tmp_path / invocation.results[0]).read_text() == "[]"


@pytest.mark.parametrize(
    ("version", "words"), [("1.17.3", "1.17.3 is older than 1.18"), ("0.5.0", "older"), ("nightly", "invalid literal")]
)
def test_an_onnxruntime_that_is_too_old_is_a_missing_toolchain(script, version, words):
    finished = script(version=version)
    with pytest.raises(ToolchainMissingError, match=words):
        asked(finished.stdout, finished.exit_code)


@pytest.mark.parametrize("version", ["1.18.0", "1.31.1", "2.0.0rc1", "1.24.0.dev20261121"])
def test_newer_ones_are_taken(script, version):
    assert asked(script(version=version).stdout).startswith(f"onnxruntime {version} (Python 3.")


def test_a_file_that_onnxruntime_refuses_is_a_bad_file(script):
    finished = script("--model", "broken.onnx")
    assert finished.exit_code == 4
    with pytest.raises(BadArtifactError, match="INVALID_PROTOBUF"):
        OnnxWheel().round(finished, {})


def test_the_script_is_written_for_an_old_python():
    assert ast.parse(SCRIPT.read_text(), feature_version=(3, 6)).body
