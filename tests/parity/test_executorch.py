"""ExecuTorch files give PyTorch's numbers, describe themselves, run in one delegate, and fail cleanly when damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge import plugins
from edge.errors import BadArtifactError
from edge.spec import InputKind, Precision, Recipe
from exporters import executorch as plugin
from exporters._pte import Pte
from tests.fakes import small_networks as nets

pytest.importorskip("executorch.exir")
EXECUTORCH = plugins.exporter("executorch")


def export_classifier(folder: Path, kind: InputKind, precision: Precision = Precision.FP32) -> Path:
    network = nets.randomised(nets.Classifier())
    card = nets.classifier_card(kind, precision)
    whole = nets.behind_picture(network) if kind is InputKind.IMAGE else network
    program = nets.program_for("executorch", whole, *nets.example(card))
    path = folder / f"{kind}-{precision}.pte"
    EXECUTORCH.lower(program, Recipe("executorch", precision, kind), card, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("executorch")


@pytest.fixture(scope="module")
def float_file(folder):
    return export_classifier(folder, InputKind.FLOAT)


@pytest.fixture(scope="module")
def half_file(folder):
    return export_classifier(folder, InputKind.FLOAT, Precision.FP16)


@pytest.fixture(scope="module")
def image_file(folder):
    return export_classifier(folder, InputKind.IMAGE)


def worst_error(path: Path, network: nn.Module, card) -> float:
    """The largest difference over four inputs and all outputs, relative to each output's spread."""
    run = EXECUTORCH.load(path)
    errors = []
    for seed in range(4):
        inputs = nets.example(card, seed)
        with torch.no_grad():
            wanted = network(*inputs)
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        for one, got in zip(wanted, run([x.numpy() for x in inputs]), strict=True):
            assert one.std() > 1e-2
            assert got.dtype == np.float32
            errors.append(float((one - torch.from_numpy(got)).abs().max() / one.std()))
    return max(errors)


def test_float_input_gives_the_numbers_of_pytorch(float_file):
    card = nets.classifier_card(InputKind.FLOAT)
    assert worst_error(float_file, nets.randomised(nets.Classifier()), card) < 1e-5


def test_picture_bytes_give_the_numbers_of_pytorch(image_file):
    card = nets.classifier_card(InputKind.IMAGE)
    assert worst_error(image_file, nets.behind_picture(nets.randomised(nets.Classifier())), card) < 1e-5


def test_float16_arithmetic_costs_no_more_than_its_rounding(half_file):
    card = nets.classifier_card(InputKind.FLOAT)
    error = worst_error(half_file, nets.randomised(nets.Classifier()), card)
    assert 1e-5 < error < 2e-2  # 2^-11 per operation, some twenty in a row, and logits that nearly cancel


def test_lowering_to_float16_leaves_the_program_alone(folder):
    program = nets.program_for("executorch", nn.Linear(4, 4).eval(), torch.randn(1, 4))
    card = nets.classifier_card(InputKind.FLOAT, Precision.FP16)
    EXECUTORCH.lower(program, Recipe("executorch", Precision.FP16), card, folder / "linear.pte")
    assert {tensor.dtype for tensor in program.state_dict.values()} == {torch.float32}


def test_several_inputs_and_outputs_keep_their_order(folder):
    card, network = nets.two_inputs_card(), nets.randomised(nets.TwoInputs())
    path = folder / "two.pte"
    EXECUTORCH.lower(nets.program_for("executorch", network, *nets.example(card)), Recipe("executorch"), card, path)
    assert worst_error(path, network, card) < 1e-5


def test_everything_runs_in_one_delegate(float_file):
    contents = EXECUTORCH.contents(float_file)
    assert (contents.partitions, contents.outside) == (1, 0)
    assert contents.inside == sum(contents.operators.values()) > 20
    assert contents.operators["XNNConv2d"] == 1
    assert contents.operators["XNNDepthwiseConv2d"] == 1


def test_operators_outside_the_delegate_are_named(image_file):
    contents = EXECUTORCH.contents(image_file)
    assert contents.partitions == 1
    assert [name for name in contents.operators if "::" in name] == ["dim_order_ops::_to_dim_order_copy"]
    assert contents.outside == 1  # the cast of bytes to float32


def test_the_card_comes_back(image_file):
    assert EXECUTORCH.card(image_file) == nets.classifier_card(InputKind.IMAGE)


def test_reading_a_file_needs_neither_torch_nor_the_vendor(float_file):
    code = (
        "import sys; from pathlib import Path; from edge import plugins; e = plugins.exporter('executorch'); "
        f"p = Path({str(float_file)!r}); e.card(p); e.contents(p); print([m for m in sys.modules if m in ('torch', 'executorch')])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_leaving_out_idle_passes_changes_no_byte(float_file, tmp_path, monkeypatch):
    monkeypatch.setattr(plugin, "only_passes_with_work", nullcontext)
    assert export_classifier(tmp_path, InputKind.FLOAT).read_bytes() == float_file.read_bytes()


class EveryTrigger(nn.Module):
    """What each of the passes that may be left out looks for."""

    def __init__(self) -> None:
        super().__init__()
        self.line, self.line_norm = nn.Conv1d(4, 4, 3, padding=1), nn.BatchNorm1d(4)
        self.lone_norm, self.slope = nn.BatchNorm2d(4), nn.PReLU(4)
        self.mix = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        line = torch.relu(self.line_norm(self.line(x)))
        plane = self.slope(self.lone_norm(line.reshape(1, 4, 4, 4)))
        plane = nn.functional.max_pool2d(torch.cat([plane] * 6, 1), 2, stride=2)
        large = nn.functional.interpolate(plane, scale_factor=2, mode="bilinear")
        return nn.functional.hardtanh(self.mix(large.reshape(1, 96, 4)), -3, 3)


def test_passes_with_work_run(tmp_path, monkeypatch):
    network, x = nets.randomised(EveryTrigger()), torch.randn(1, 4, 16)
    program = torch.export.export(network, (x,))  # before our own rewrites, which would leave less to do
    card = nets.classifier_card(InputKind.FLOAT)
    EXECUTORCH.lower(program, Recipe("executorch"), card, tmp_path / "needed.pte")
    monkeypatch.setattr(plugin, "only_passes_with_work", nullcontext)
    EXECUTORCH.lower(program, Recipe("executorch"), card, tmp_path / "all.pte")
    assert (tmp_path / "needed.pte").read_bytes() == (tmp_path / "all.pte").read_bytes()


def test_another_process_writes_the_same_bytes(image_file, tmp_path):
    code = (
        "from pathlib import Path; from tests.parity import test_executorch as t; "
        f"t.export_classifier(Path({str(tmp_path)!r}), t.InputKind.IMAGE)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4242"}
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, env=environment, capture_output=True)
    assert (tmp_path / image_file.name).read_bytes() == image_file.read_bytes()


def test_nothing_of_this_machine_is_inside(float_file):
    data = float_file.read_bytes()
    assert not [
        word for word in (b"site-packages", b".py", str(Path.cwd()).encode(), b"/home/", b"/root/") if word in data
    ]


def test_a_file_without_a_card_is_not_ours(float_file, tmp_path):
    path = tmp_path / "foreign.pte"
    path.write_bytes(float_file.read_bytes().replace(b"edge.card", b"edge.cart"))
    with pytest.raises(BadArtifactError, match="no card"):
        EXECUTORCH.card(path)


def damages(data: bytes) -> dict[str, bytes]:
    noise = np.random.default_rng(0).bytes(4096)
    cut = {f"cut at {part}/8": data[: len(data) * part // 8] for part in range(1, 8)}
    return {
        "empty": b"",
        "tiny": b"ET12",
        "noise": noise,
        "another magic": data[:4] + b"ABCD" + data[8:],
        "header": data[:40] + noise,
        **cut,
    }


@pytest.mark.parametrize("kind", sorted(damages(b"." * 64)))
def test_a_damaged_file_is_refused(kind, float_file, tmp_path):
    path = tmp_path / "damaged.pte"
    path.write_bytes(damages(float_file.read_bytes())[kind])
    with pytest.raises(BadArtifactError):
        Pte.read(path.read_bytes()).delegated()
    for read in (EXECUTORCH.card, EXECUTORCH.contents, EXECUTORCH.load):
        with pytest.raises(BadArtifactError):
            read(path)
