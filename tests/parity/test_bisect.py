"""A fault seeded in one operator of a file is traced back to exactly that operator, among some three hundred."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge import plugins, tasks
from edge.bisect import find
from edge.card import KEY, Card
from edge.cli.verify import sentence
from edge.passes.capture import capture
from edge.pipeline import ExportOrder, export
from edge.reference import ModelRequest
from edge.spec import Precision, Recipe
from edge.tolerances import TOLERANCES
from edge.verification import verify_and_bisect
from exporters.coreml import package
from exporters.tflite import flatbuffer

BLOCKS, CHANNELS, SIDE = 19, 8, 12
SEEDS = range(2)


class Block(nn.Module):
    """Convolution, pooling, normalisation, attention and a feed-forward layer, each with a branch around it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.depthwise = (nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=g) for g in (1, CHANNELS))
        self.norm, self.qkv = nn.LayerNorm(CHANNELS), nn.Linear(CHANNELS, 3 * CHANNELS)
        self.out = nn.Linear(CHANNELS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        x = x + F.relu(self.conv(x))
        x = x - F.gelu(self.depthwise(x))
        small = F.avg_pool2d(x, 4)
        tokens = self.norm(small.flatten(2).transpose(1, 2))
        q, k, v = self.qkv(tokens).chunk(3, -1)
        mixed = self.out((q @ k.transpose(1, 2)).softmax(-1) @ v)
        return x * torch.sigmoid(mixed.mean(1)).reshape(1, CHANNELS, 1, 1)


class Tower(nn.Module):
    """Picture (1, 3, 24, 24) to logits (1, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, CHANNELS, 3, 2, 1), nn.Linear(CHANNELS, 10)
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


def randomised(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=(1.5 / layer.weight[0].numel()) ** 0.5)
            nn.init.normal_(layer.bias, std=0.3)
        if isinstance(layer, nn.LayerNorm):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
    return module.eval()


@dataclass(frozen=True)
class Sample:
    """A sound file, and where to write a faulty one."""

    path: Path
    probe: Path
    precision: Precision

    def blamed(self, suspect: Path) -> dict[str, Any]:
        bound = TOLERANCES[self.precision].relative_error
        return tasks.bisect_against_file(str(suspect), str(self.path), str(self.probe), bound)


@pytest.fixture(scope="module")
def tower(make_case):
    return make_case(randomised(Tower()), (torch.randn(1, 3, 2 * SIDE, 2 * SIDE),), ("picture",), ("logits",))


@pytest.fixture(scope="module")
def samples(tower, lower, tmp_path_factory) -> Callable[..., Sample]:
    made: dict[tuple[str, Precision], Sample] = {}

    def sample(target: str, precision: Precision = Precision.FP32) -> Sample:
        if (target, precision) not in made:
            folder = tmp_path_factory.mktemp(f"{target}-{precision}")
            path = lower(tower, Recipe(target, precision), folder / f"tower{plugins.exporter(target).suffix}")
            probe = folder / "probe.npz"
            np.savez(probe, np.random.default_rng(0).standard_normal((3, 3, 2 * SIDE, 2 * SIDE)).astype(np.float32))
            made[target, precision] = Sample(path, probe, precision)
        return made[target, precision]

    return sample


# ONNX ----------------------------------------------------------------------------------------------------------------


def onnx_weight(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    stored = next(tensor for tensor in model.graph.initializer if tensor.name in node.input[1:])
    values = onnx.numpy_helper.to_array(stored).copy()
    values.flat[1] += 3 * values.std()
    stored.CopyFrom(onnx.numpy_helper.from_array(values, stored.name))


def onnx_no_bias(_: onnx.ModelProto, node: onnx.NodeProto) -> None:
    del node.input[2]


def onnx_attribute(name: str, value: Any) -> Callable[[onnx.ModelProto, onnx.NodeProto], None]:
    def change(_: onnx.ModelProto, node: onnx.NodeProto) -> None:
        attribute = next(each for each in node.attribute if each.name == name)
        attribute.CopyFrom(onnx.helper.make_attribute(name, value))

    return change


def onnx_type(name: str) -> Callable[[onnx.ModelProto, onnx.NodeProto], None]:
    def change(_: onnx.ModelProto, node: onnx.NodeProto) -> None:
        node.op_type = name

    return change


def onnx_swapped(_: onnx.ModelProto, node: onnx.NodeProto) -> None:
    first, second = node.input
    node.input[:] = second, first


ONNX_FAULTS = {
    "a weight": ("Conv", onnx_weight),
    "the bias": ("Conv", onnx_no_bias),
    "the padding": ("Conv", onnx_attribute("pads", [0, 0, 2, 2])),
    "the epsilon": ("LayerNormalization", onnx_attribute("epsilon", 0.05)),
    "the axis": ("Softmax", onnx_attribute("axis", 1)),
    "the type": ("Relu", onnx_type("Sigmoid")),
    "the order of inputs": ("Sub", onnx_swapped),
    "the approximation": ("Gelu", onnx_attribute("approximate", "tanh")),
}


def onnx_broken(sample: Sample, folder: Path, fault: str, seed: int) -> tuple[Path, str]:
    kind, change = ONNX_FAULTS[fault]
    model = onnx.load(sample.path)
    node = Random(seed).choice([node for node in model.graph.node if node.op_type == kind and suits(node, fault)])
    change(model, node)
    onnx.save(model, folder / sample.path.name)
    return folder / sample.path.name, node.output[0]


def suits(node: onnx.NodeProto, fault: str) -> bool:
    """Whether the fault can be seeded here: the attribute must be written down."""
    written = {attribute.name: attribute for attribute in node.attribute}
    return fault != "the padding" or list(written["pads"].ints) == [1, 1, 1, 1]


# Core ML -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operations:
    """A package's operations, and its weights as bytes that may be changed."""

    model: Any
    weights: bytearray

    def all(self) -> list[Any]:
        return list(package.operations(self.model))

    def constant(self, operation: Any, parameter: str) -> Any:
        name = operation.inputs[parameter].arguments[0].name
        return next(each for each in self.all() if each.outputs[0].name == name).attributes["val"]

    def stored(self, operation: Any, parameter: str) -> np.ndarray:
        value = self.constant(operation, parameter)
        record = int(value.blobFileValue.offset)
        size, place = np.frombuffer(self.weights, "<u8", 2, record + 8)
        kind = {10: "<f2", 11: "<f4"}[value.type.tensorType.dataType]
        return np.frombuffer(self.weights, kind, int(size) // np.dtype(kind).itemsize, int(place))


def coreml_weight(operations: Operations, operation: Any) -> None:
    values = operations.stored(operation, "weight")
    values[1] += 3 * values.std()


def coreml_no_bias(operations: Operations, operation: Any) -> None:
    value = operations.constant(operation, "bias")
    if value.WhichOneof("value") == "blobFileValue":
        operations.stored(operation, "bias")[:] = 0
    else:
        floats = value.immediateValue.tensor.floats.values
        floats[:] = [0.0] * len(floats)


def coreml_padding(operations: Operations, operation: Any) -> None:
    operations.constant(operation, "pad").immediateValue.tensor.ints.values[:] = [0, 2, 0, 2]


def coreml_epsilon(operations: Operations, operation: Any) -> None:
    operations.constant(operation, "epsilon").immediateValue.tensor.floats.values[:] = [0.05]


def coreml_axis(operations: Operations, operation: Any) -> None:
    operations.constant(operation, "axis").immediateValue.tensor.ints.values[:] = [1]


def coreml_type(_: Operations, operation: Any) -> None:
    operation.type = "sigmoid"


def coreml_swapped(_: Operations, operation: Any) -> None:
    x, y = operation.inputs["x"].arguments[0].name, operation.inputs["y"].arguments[0].name
    operation.inputs["x"].arguments[0].name, operation.inputs["y"].arguments[0].name = y, x


def coreml_approximation(operations: Operations, operation: Any) -> None:
    operations.constant(operation, "mode").immediateValue.tensor.strings.values[:] = ["TANH_APPROXIMATION"]


COREML_FAULTS = {
    "a weight": ("conv", coreml_weight),
    "the bias": ("conv", coreml_no_bias),
    "the padding": ("conv", coreml_padding),
    "the epsilon": ("layer_norm", coreml_epsilon),
    "the axis": ("softmax", coreml_axis),
    "the type": ("relu", coreml_type),
    "the order of inputs": ("sub", coreml_swapped),
    "the approximation": ("gelu", coreml_approximation),
}


def coreml_broken(sample: Sample, folder: Path, fault: str, seed: int) -> tuple[Path, str]:
    kind, change = COREML_FAULTS[fault]
    path = folder / sample.path.name
    shutil.copytree(sample.path, path)
    blob = path / "Data" / package.WEIGHTS / "weight.bin"
    operations = Operations(package.read(path), bytearray(blob.read_bytes()))
    candidates = [each for each in operations.all() if each.type == kind]
    operation = Random(seed).choice(candidates[1:] if fault == "the padding" else candidates)  # the stem has a stride
    change(operations, operation)
    blob.write_bytes(operations.weights)
    package.model_file(path).write_bytes(operations.model.SerializeToString(deterministic=True))
    return path, operation.outputs[0].name


# TFLite --------------------------------------------------------------------------------------------------------------


def tflite_weight(model: Any, operator: Any) -> None:
    tensor = model.subgraphs[0].tensors[operator.inputs[1]]
    values = np.frombuffer(bytes(model.buffers[tensor.buffer].data), "<f4").copy()
    values[1] += 3 * values.std()
    model.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)


def tflite_no_bias(model: Any, operator: Any) -> None:
    tensor = model.subgraphs[0].tensors[operator.inputs[2]]
    model.buffers[tensor.buffer].data = np.zeros_like(model.buffers[tensor.buffer].data)


def tflite_beta(_: Any, operator: Any) -> None:
    operator.builtinOptions.beta = 0.9


def tflite_swapped(_: Any, operator: Any) -> None:
    operator.inputs = operator.inputs[::-1]


TFLITE_FAULTS = {
    "a weight": ("CONV_2D", tflite_weight),
    "the bias": ("DEPTHWISE_CONV_2D", tflite_no_bias),
    "the factor": ("SOFTMAX", tflite_beta),
    "the order of inputs": ("SUB", tflite_swapped),
}


def tflite_broken(sample: Sample, folder: Path, fault: str, seed: int) -> tuple[Path, str]:
    kind, change = TFLITE_FAULTS[fault]
    data = sample.path.read_bytes()
    model, kinds = flatbuffer.parse(data), flatbuffer.operator_names(data)
    graph = model.subgraphs[0]
    operator = Random(seed).choice([each for each, own in zip(graph.operators, kinds, strict=True) if own == kind])
    change(model, operator)
    path = folder / sample.path.name
    path.write_bytes(flatbuffer.serialise(model))
    name = graph.tensors[operator.outputs[0]].name
    return path, name.decode() if isinstance(name, bytes) else name


# Tests ---------------------------------------------------------------------------------------------------------------

BROKEN = {"onnx": onnx_broken, "coreml": coreml_broken, "tflite": tflite_broken}
CASES = [
    (target, fault)
    for target, faults in (("onnx", ONNX_FAULTS), ("coreml", COREML_FAULTS), ("tflite", TFLITE_FAULTS))
    for fault in faults
]


@pytest.mark.parametrize("target", BROKEN)
def test_the_network_has_some_three_hundred_operators_and_a_sound_file_none_that_is_bad(target, samples):
    sample = samples(target)
    found = sample.blamed(sample.path)
    assert found["first"] is None
    assert 280 <= found["operators"] <= 700  # LiteRT lays out anew around every convolution


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("target", "fault"), CASES, ids=lambda value: value)
def test_a_fault_in_one_operator_names_it(target, fault, seed, samples, tmp_path):
    sample = samples(target)
    path, name = BROKEN[target](sample, tmp_path, fault, seed)
    found = sample.blamed(path)["first"]
    assert found is not None
    assert found["name"] == name
    assert found["error"] > TOLERANCES[Precision.FP32].relative_error


@pytest.mark.parametrize("fault", ["a weight", "the type", "the axis"])
@pytest.mark.parametrize("target", ["onnx", "coreml"])
def test_a_fault_in_a_half_precision_file_names_its_operator(target, fault, samples, tmp_path):
    sample = samples(target, Precision.FP16)
    path, name = BROKEN[target](sample, tmp_path, fault, 0)
    found = sample.blamed(path)["first"]
    assert found is not None
    assert found["name"] == name


@pytest.mark.parametrize("fault", ["a weight", "the bias", "the axis", "the type"])
@pytest.mark.parametrize("target", ["onnx", "coreml"])
def test_the_program_names_it_too_where_no_conversion_is_right(target, fault, samples, tower, tmp_path):
    sample = samples(target)
    program, answers = tmp_path / "program.pt2", tmp_path / "answers.npz"
    torch.export.save(capture(tower.module, tower.inputs), program)
    with np.load(sample.probe) as probe, torch.no_grad():
        (inputs,) = probe.values()
        np.savez(answers, np.concatenate([tower.module(torch.from_numpy(row[None])).numpy() for row in inputs]))
    path, name = BROKEN[target](sample, tmp_path, fault, 1)
    found = tasks.bisect_against_program(str(path), str(program), str(answers), str(sample.probe), 1e-4)["first"]
    assert found is not None
    assert found["name"] == name


# The command ---------------------------------------------------------------------------------------------------------

TOY = f"{Path(__file__).parents[1] / 'fakes' / 'toy.py'}:network"


@pytest.fixture(scope="module")
def toys(tmp_path_factory) -> Path:
    """A folder with the toy network for two targets, both sound."""
    out = tmp_path_factory.mktemp("toys")
    recipes = (Recipe("onnx"), Recipe("executorch"))
    return export(ExportOrder(ModelRequest(TOY), recipes, out, out / "logs"), lambda *_: None).folder


def verify(*arguments: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "edge", "verify", "--bisect", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def test_the_command_names_the_operator_and_ends_in_3(toys, tmp_path):
    sound = Sample(toys / "toy_network.onnx", toys, Precision.FP32)
    path, name = onnx_broken(sound, tmp_path, "the bias", 0)
    code, document = verify(str(path), "--against", TOY)
    assert code == 3
    assert document["verdict"] == "failed"
    assert document["first_bad_op"]["name"] == name
    assert document["first_bad_op"].keys() == {"name", "type", "index", "error"}


def test_a_sound_file_has_no_bad_operator(toys):
    code, document = verify(str(toys / "toy_network.onnx"), "--against", TOY)
    assert (code, document["verdict"], document["first_bad_op"]) == (0, "ok", None)


def test_a_wrong_card_is_no_operators_fault(toys, tmp_path):
    model = onnx.load(toys / "toy_network.onnx")
    entry = next(entry for entry in model.metadata_props if entry.key == KEY)
    card = Card.from_json(entry.value)
    entry.value = replace(card, preprocess=replace(card.preprocess, mean=(0.1, 0.1, 0.1))).to_json()
    onnx.save(model, tmp_path / "toy_network.onnx")
    code, document = verify(str(tmp_path / "toy_network.onnx"), "--against", TOY)
    assert (code, document["verdict"], document["first_bad_op"]) == (3, "failed", None)


def test_executorch_is_refused_with_what_would_work(toys):
    code, document = verify(str(toys / "toy_network.pte"), "--against", f"{TOY.partition(':')[0]}:other_network")
    assert code == 2
    assert "cannot be obtained" in document["error"]
    assert "onnx" in document["hint"]


def test_where_a_fresh_export_is_wrong_too_the_program_is_the_measure(toys, tmp_path, monkeypatch):
    monkeypatch.setattr(find, "_fresh", lambda *_: None)
    path, name = onnx_broken(Sample(toys / "toy_network.onnx", toys, Precision.FP32), tmp_path, "the axis", 0)
    _, found = verify_and_bisect(
        path, ModelRequest(TOY), None, logs=tmp_path / "logs", timeout_s=300, progress=lambda *_: None
    )
    assert found is not None
    assert found.measure == "the PyTorch program"
    assert found.first is not None
    assert found.first.name == name
    assert f"operator {found.first.index + 1} of {found.operators}" in sentence("failed", found)
