"""TFLite files give PyTorch's numbers, describe themselves, run in one delegate, and fail cleanly when damaged."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from edge import plugins
from edge.errors import BadArtifactError, ConversionError
from edge.spec import InputKind, Precision, Recipe
from exporters._flatbuffer import Table
from tests.fakes import small_networks as nets

pytest.importorskip("litert_torch")
TFLITE = plugins.exporter("tflite")


def export_classifier(folder: Path, kind: InputKind, precision: Precision = Precision.FP32) -> Path:
    network = nets.randomised(nets.Classifier())
    card = nets.classifier_card(kind, precision)
    whole = nets.behind_picture(network) if kind is InputKind.IMAGE else network
    path = folder / f"{kind}-{precision}.tflite"
    TFLITE.lower(nets.program_for("tflite", whole, *nets.example(card)), Recipe("tflite", precision, kind), card, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tflite")


@pytest.fixture(scope="module")
def float_file(folder):
    return export_classifier(folder, InputKind.FLOAT)


@pytest.fixture(scope="module")
def half_file(folder):
    return export_classifier(folder, InputKind.FLOAT, Precision.FP16)


@pytest.fixture(scope="module")
def image_file(folder):
    return export_classifier(folder, InputKind.IMAGE)


def worst_error(path: Path, network: torch.nn.Module, card) -> float:
    """The largest difference over four inputs and all outputs, relative to each output's spread."""
    run = TFLITE.load(path)
    errors = []
    for seed in range(4):
        inputs = nets.example(card, seed)
        with torch.no_grad():
            wanted = network(*inputs)
        for one, got in zip(
            wanted if isinstance(wanted, tuple) else (wanted,), run([x.numpy() for x in inputs]), strict=True
        ):
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


def test_float16_weights_cost_no_more_than_their_rounding(half_file):
    card = nets.classifier_card(InputKind.FLOAT)
    error = worst_error(half_file, nets.randomised(nets.Classifier()), card)
    assert 1e-6 < error < 5e-3  # 2^-11 per weight, some ten layers in a row; arithmetic stays float32


def test_float16_files_hold_half_the_weights_of_float32_ones(half_file):
    assert plugins.exporter("tflite").contents(half_file).operators["DEQUANTIZE"] > 0
    stored = [dtype for _, dtype in constants(half_file)]
    assert stored.count(np.float16) > 0
    assert stored.count(np.float32) < len(stored)


def test_several_inputs_and_outputs_keep_their_order(folder):
    card, network = nets.two_inputs_card(), nets.randomised(nets.TwoInputs())
    path = folder / "two.tflite"
    TFLITE.lower(nets.program_for("tflite", network, *nets.example(card)), Recipe("tflite"), card, path)
    assert worst_error(path, network, card) < 1e-5


@pytest.mark.parametrize("name", ["float_file", "half_file"])
def test_everything_runs_in_one_delegate(name, request):
    contents = TFLITE.contents(request.getfixturevalue(name))
    assert (contents.partitions, contents.outside) == (1, 0)
    assert contents.inside == sum(contents.operators.values()) > 20


def test_only_the_cast_of_picture_bytes_runs_outside_the_delegate(image_file):
    contents = TFLITE.contents(image_file)
    assert (contents.partitions, contents.outside, contents.operators["CAST"]) == (1, 1, 1)


def test_no_product_keeps_a_computed_weight(float_file):
    operators = TFLITE.contents(float_file).operators
    assert operators["BATCH_MATMUL"] == 2  # q·kᵀ and weights·v
    assert operators["FULLY_CONNECTED"] == 5  # q, k, v, hidden, head


def test_the_card_comes_back(image_file):
    assert TFLITE.card(image_file) == nets.classifier_card(InputKind.IMAGE)


def test_inputs_and_outputs_carry_the_names_of_the_card(float_file):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(float_file))
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["picture"], "outputs": ["logits"]}}
    assert [detail["name"] for detail in interpreter.get_input_details()] == ["picture"]


def test_task_library_finds_the_labels(image_file):
    with zipfile.ZipFile(image_file) as bundle:
        assert bundle.infolist()[0].compress_type == zipfile.ZIP_STORED
        assert bundle.read("labels.txt").decode().split("\n") == [*nets.LABELS, ""]


def test_task_library_finds_the_normalisation(float_file):
    model = Table.root(float_file.read_bytes(), b"TFL3")
    buffers = {entry.text(0): model.tables(4)[entry.integer(1, "<I")].blob(0) for entry in model.tables(6)}
    metadata = Table.root(bytes(buffers["TFLITE_METADATA"]), b"M001")
    (picture,) = metadata.tables(3)[0].tables(2)
    assert picture.tables(4)[0].table(1) is not None


def test_every_constant_lies_at_a_multiple_of_sixteen_bytes(half_file):
    data = half_file.read_bytes()
    start = np.frombuffer(data, np.uint8).ctypes.data
    blobs = [buffer.blob(0) for buffer in Table.root(data, b"TFL3").tables(4)]
    places = [np.frombuffer(blob, np.uint8).ctypes.data - start for blob in blobs if len(blob)]
    assert len(places) > 5
    assert all(place % 16 == 0 for place in places)


def test_another_process_writes_the_same_bytes(image_file, tmp_path):
    code = (
        "from pathlib import Path; from tests.parity import test_tflite as t; "
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


def test_an_operator_without_a_kernel_is_named_at_export(tmp_path):
    card = nets.two_inputs_card()
    program = nets.program_for("tflite", nets.TopValues(), torch.randn(1, 10))
    card = dataclasses.replace(card, inputs=card.inputs[:1], outputs=card.outputs[:1])
    with pytest.raises(ConversionError, match="STABLEHLO_SORT"):
        TFLITE.lower(program, Recipe("tflite"), card, tmp_path / "sort.tflite")
    assert not (tmp_path / "sort.tflite").exists()


def damages(data: bytes) -> dict[str, bytes]:
    noise = np.random.default_rng(0).bytes(4096)
    cut = {f"cut at {part}/8": data[: len(data) * part // 8] for part in range(1, 7)}
    return {
        "empty": b"",
        "tiny": b"TFL3",
        "noise": noise,
        "another magic": data[:4] + b"ABCD" + data[8:],
        "header": data[:8] + noise,
        **cut,
    }


@pytest.mark.parametrize("kind", sorted(damages(b"........")))
def test_a_damaged_file_is_refused_before_the_runtime_sees_it(kind, float_file, tmp_path):
    path = tmp_path / "damaged.tflite"
    path.write_bytes(damages(float_file.read_bytes())[kind])
    for read in (TFLITE.card, TFLITE.contents, TFLITE.load):
        with pytest.raises(BadArtifactError):
            read(path)


def constants(path: Path):
    """Name and dtype of the tensors that the file stores, without those that hold shapes and the like."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    model = Table.root(path.read_bytes(), b"TFL3")
    lengths = [len(buffer.blob(0)) for buffer in model.tables(4)]
    stored = {tensor.text(3) for tensor in model.tables(2)[0].tables(0) if lengths[tensor.integer(2, "<I")]}
    details = Interpreter(model_path=str(path), experimental_op_resolver_type=plain).get_tensor_details()
    return [
        (detail["name"], detail["dtype"])
        for detail in details
        if detail["name"] in stored and detail["dtype"] != np.int32
    ]
