"""Our runner in C computes what LiteRT's Python does, bit for bit, and tells each run; the vendors' dumps are read whole."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch
from torch import nn

from devices._runners import native
from devices._runners.executor_runner import DUMP, ExecutorRunner
from devices._runners.litert import Litert
from devices._runners.runtime import runtime
from devices._runners.target import Target
from edge import plugins
from edge.card import TensorSpec
from edge.device_state import DeviceInfo
from edge.errors import BadArtifactError, DeviceError, ToolchainMissingError
from edge.machine import Finished
from edge.protocol import TimingPlan
from edge.spec import InputKind, Precision, Recipe
from tests.fakes import small_networks as nets

litert = pytest.importorskip("ai_edge_litert.interpreter")
pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
HERE = DeviceInfo("host", "host", "ready", abi="x86_64")
PLAN = TimingPlan(warmup=2, runs=20)
AARCH64 = 183
"""What an ELF file for arm64 holds as its machine (System V ABI, e_machine)."""

CPU = "sys/devices/system/cpu"
ARM64_FILES = {
    "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid\n"
    "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x1\nCPU part\t: 0xd0b\nCPU revision\t: 0\n\n",
    **{f"{CPU}/{name}": "0\n" for name in ("possible", "present", "online")},
    **{f"{CPU}/cpu0/topology/{name}": "0\n" for name in ("core_id", "physical_package_id", "core_siblings_list")},
    f"{CPU}/cpu0/cpufreq/cpuinfo_max_freq": "2400000\n",
}
"""What an arm64 machine shows of its one core (devices sheet §2.2)."""


class Interrupted(nn.Module):
    """A cumulative sum, which XNNPACK leaves to LiteRT, between two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.cumsum(self.first(x).relu(), 2))


def export(path: Path, network: nn.Module, card) -> Path:
    recipe = Recipe("tflite", Precision.FP32, InputKind.FLOAT)
    program = nets.program_for("tflite", nets.randomised(network), *nets.example(card))
    plugins.exporter("tflite").lower(program, recipe, card, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A machine's folder, with the runner, its library, and a small classifier."""
    path = tmp_path_factory.mktemp("machine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE_CACHE", str(path / "cache"))
        for local, remote in Litert().program(HERE).files:
            shutil.copy(local, path / remote)
    export(path / "small.tflite", nets.Classifier(), nets.classifier_card(InputKind.FLOAT))
    return path


def run(folder: Path, *more: str, model: str = "small.tflite", plan: TimingPlan = PLAN) -> Finished:
    command = (*Litert().invocation(PurePosixPath(folder), model, plan).command, *more)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    code = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return Finished(code, done.stdout, done.stderr)


def in_python(path: Path, picture: np.ndarray, threads: int) -> np.ndarray:
    interpreter = litert.Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_output_is_python_s_bit_for_bit(folder, seed, threads):
    (picture,) = nets.example(nets.classifier_card(InputKind.FLOAT), seed)
    (folder / "input").write_bytes(picture.numpy().tobytes())
    plan = TimingPlan(warmup=1, runs=2, threads=threads)
    done = run(folder, "--input", str(folder / "input"), "--output", str(folder / "out"), plan=plan)
    assert done.exit_code == 0, done.stdout
    expected = in_python(folder / "small.tflite", picture.numpy(), threads)
    assert (folder / "out0").read_bytes() == expected.tobytes()
    assert np.ptp(expected) > 0


def test_several_inputs_and_outputs_are_in_the_signature_s_order(folder):
    from ai_edge_litert.compiled_model import CompiledModel

    base = nets.classifier_card(InputKind.FLOAT)
    vector = TensorSpec("vector", (1, 4), "float32")
    outputs = tuple(TensorSpec(f"out{index}", (1, 10)) for index in range(12))
    card = replace(base, inputs=(*base.inputs, vector), outputs=outputs, labels=None)
    export(folder / "two.tflite", nets.TwoInputs(), card)
    tensors = [tensor.numpy() for tensor in nets.example(card)]
    compiled = CompiledModel.from_file(str(folder / "two.tflite"))
    into, out = compiled.create_input_buffers(0), compiled.create_output_buffers(0)
    signature = compiled.get_signature_by_index(0)
    by_size = {tensor.size: tensor for tensor in tensors}
    details = compiled.get_input_tensor_details(signature["key"])
    flags = []
    for place, name in enumerate(signature["inputs"]):
        tensor = by_size[int(np.prod(details[name]["shape"]))]
        into[place].write(tensor)
        (folder / f"in{place}").write_bytes(tensor.tobytes())
        flags += ["--input", str(folder / f"in{place}")]
    compiled.run_by_index(0, into, out)
    done = run(folder, *flags, "--output", str(folder / "two-"), model="two.tflite")
    assert done.exit_code == 0, done.stdout
    for place, buffer in enumerate(out):
        assert (folder / f"two-{place}").read_bytes() == np.asarray(buffer.read(10, np.float32)).tobytes()


def test_every_run_is_told_and_the_document_is_the_runner_s_own(folder):
    done = run(folder)
    found = Litert().round(done, {})
    document = json.loads(done.stdout.splitlines()[-1])
    assert len(found.samples_ms) == PLAN.runs
    assert found.samples_ms == tuple(ns * 1e-6 for _, ns in document["runs_ns"])
    assert (document["warmup"], document["threads"], document["machine"]) == (2, 1, "x86_64")
    assert found.peak_rss_kb > 1000
    assert found.init_ms > 0


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_xnnpack_has_the_threads_that_are_asked_for(folder, threads):
    plan = TimingPlan(warmup=1, runs=1_000_000, threads=threads)
    command = Litert().invocation(PurePosixPath(folder), "small.tflite", plan).command
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"# run ")  # a second has passed: it is running
        seen = len(list(Path(f"/proc/{process.pid}/task").iterdir()))
        process.kill()
    assert seen == threads


def test_operators_name_who_ran_them(folder):
    base = nets.classifier_card(InputKind.FLOAT)
    spec, out = TensorSpec("picture", (1, 3, 32, 32), "float32", "NCHW"), TensorSpec("maps", (1, 8, 32, 32))
    export(
        folder / "cut.tflite",
        Interrupted(),
        replace(base, inputs=(spec,), outputs=(out,), labels=None, preprocess=None),
    )
    plan = TimingPlan(warmup=1, runs=5)
    command = Litert().operators_invocation(PurePosixPath(folder), "cut.tflite", plan).command
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found = Litert().operators(Finished(0, done.stdout, done.stderr), {})
    by_delegate = {each.type.split()[0]: each.delegate for each in found}
    assert by_delegate["CUMSUM"] == ""
    assert by_delegate["Convolution"] == "XNNPACK"
    assert sum(each.type.startswith("Convolution") for each in found) == 2
    assert all(each.ms >= 0 for each in found)


@pytest.mark.parametrize("length", [0, 100, 5000])
def test_a_file_that_was_cut_is_a_bad_artifact(folder, length):
    whole = (folder / "small.tflite").read_bytes()
    (folder / "cut-off.tflite").write_bytes(whole[:length])
    with pytest.raises((BadArtifactError, DeviceError)):
        Litert().round(run(folder, model="cut-off.tflite"), {})


def test_inputs_of_another_size_or_number_are_refused(folder):
    (folder / "short").write_bytes(b"123")
    assert "does not hold the 3072 bytes" in run(folder, "--input", str(folder / "short")).stdout
    twice = ("--input", str(folder / "short")) * 2
    assert "2 inputs are given, the model has 1" in run(folder, *twice).stdout


def test_an_output_that_cannot_be_written_is_an_error(folder):
    done = run(folder, "--output", str(folder / "absent" / "out"))
    assert (done.exit_code, "No such file" in done.stdout) == (5, True)


@pytest.mark.skipif(shutil.which("aarch64-linux-gnu-gcc") is None, reason="needs gcc-aarch64-linux-gnu")
def test_the_runner_for_boards_is_an_arm64_program(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path))
    header = native.built(Target.LINUX_ARM64).read_bytes()[:20]
    assert header[:5] == b"\x7fELF\x02"
    assert struct.unpack_from("<H", header, 18) == (AARCH64,)


@pytest.fixture
def emulated(tmp_path):
    """Runs an arm64 program under qemu, on a described Cortex-A76: LiteRT reads the cores of its machine and finds none else."""
    libraries = Path("/usr/aarch64-linux-gnu/lib")
    if shutil.which("qemu-aarch64-static") is None or not (libraries / "libstdc++.so.6").exists():
        pytest.skip("needs qemu-user-static and gcc-aarch64-linux-gnu with its libraries")
    root = tmp_path / "arm64"
    for file, text in ARM64_FILES.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    (root / "lib").symlink_to(libraries)

    def emulated(program: Path, *arguments: str) -> Finished:
        command = ["qemu-aarch64-static", "-cpu", "cortex-a76", "-L", str(root), str(program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        return Finished(done.returncode, done.stdout, done.stderr)

    return emulated


def test_the_runner_for_boards_says_which_library_is_missing(emulated, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path))
    done = emulated(native.built(Target.LINUX_ARM64), "--model", "a", "--library", "b.so")
    said = json.loads(done.stdout)
    assert (done.exit_code, said["stage"]) == (3, "library")
    assert "b.so" in said["error"]


def test_the_output_on_arm64_is_this_machine_s_within_rounding(emulated, folder):
    try:
        library = runtime(Target.LINUX_ARM64).path
    except ToolchainMissingError as error:
        pytest.skip(f"{error}; {error.hint}")
    (picture,) = nets.example(nets.classifier_card(InputKind.FLOAT))
    (folder / "input").write_bytes(picture.numpy().tobytes())
    more = ("--input", str(folder / "input"), "--output", str(folder / "arm64-"), "--runs", "3", "--warmup", "1")
    model = ("--model", str(folder / "small.tflite"), "--library", str(library))
    done = emulated(native.built(Target.LINUX_ARM64), *model, *more)
    found = Litert().round(done, {})
    assert len(found.samples_ms) == 3
    assert json.loads(done.stdout.splitlines()[-1])["machine"] == "aarch64"
    there = np.fromfile(folder / "arm64-0", np.float32)
    here = in_python(folder / "small.tflite", picture.numpy(), 1).ravel()
    assert np.abs(there - here).max() <= 1e-5 * np.abs(here).max()


def test_an_etdump_becomes_operators_through_the_vendor_s_inspector(tmp_path):
    schema = pytest.importorskip("executorch.devtools.etdump.schema_flatcc")
    from executorch.devtools.etdump.serialize import serialize_to_etdump_flatcc

    def event(name: str, place: int, start_ns: int, ns: int, delegated: str = ""):
        profile = schema.ProfileEvent(name, 0, place, -1, delegated, b"", start_ns, start_ns + ns)
        return schema.Event(profile_event=profile, allocation_event=None, debug_event=None)

    def execution(at_ns: int, slower: int):
        inside = "Convolution (NHWC, F32) IGEMM #1"
        events = [
            event("OPERATOR_CALL", 0, at_ns + 900, 1200), event("native_call_add.out", 0, at_ns + 1000, 1000 * slower),
            event("DELEGATE_CALL", 1, at_ns + 30_000, 6000), event(inside, 1, at_ns + 31_000, 2000 * slower, inside),
            event("Method::execute", -1, at_ns, 50_000),
        ]  # fmt: skip
        return schema.RunData("forward", -1, [], events)

    dump = schema.ETDumpFlatCC(0, [execution(10**6 * place, slower) for place, slower in enumerate((1, 2, 9), 1)])
    data = serialize_to_etdump_flatcc(dump)
    (tmp_path / DUMP).write_bytes(struct.pack("<I", len(data)) + data)  # the runtime writes its size before it
    found = ExecutorRunner().operators(Finished(0, "", ""), {DUMP: tmp_path / DUMP})
    assert [(each.type, pytest.approx(each.ms), each.delegate) for each in found] == [
        ("add.out", 0.002, ""), ("Convolution (NHWC, F32) IGEMM", 0.004, "delegate"),
    ]  # fmt: skip


def test_a_damaged_dump_is_an_error_of_the_device(tmp_path):
    pytest.importorskip("executorch.devtools")
    (tmp_path / DUMP).write_bytes(b"no dump at all")
    with pytest.raises(DeviceError):
        ExecutorRunner().operators(Finished(0, "", ""), {DUMP: tmp_path / DUMP})
