"""ONNX files compute what PyTorch computes, carry their card, and damaged ones are refused."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edge import plugins
from edge.card import KEY
from edge.errors import BadArtifactError, ConversionError
from edge.passes.capture import capture
from edge.spec import Precision, Recipe

SINGLE, HALF = Recipe("onnx"), Recipe("onnx", Precision.FP16)
NAMES = ("classifier", "bytes", "several")
INPUTS = 6

LOWER_AGAIN = """
import sys, torch
from pathlib import Path
from edge import plugins
from edge.card import Card
from edge.spec import Precision, Recipe
name, precision, program, card, path = sys.argv[1:]
recipe = Recipe(name, Precision(precision))
plugins.exporter(name).lower(torch.export.load(program), recipe, Card.from_json(Path(card).read_text()), Path(path))
"""


@pytest.fixture(scope="module")
def exporter():
    return plugins.exporter("onnx")


def fresh_inputs(case, seed):
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randint(0, 256, x.shape, generator=generator, dtype=torch.uint8)
        if x.dtype == torch.uint8
        else torch.randn(x.shape, generator=generator)
        for x in case.inputs
    )


def errors(case, run):
    """For each output, the largest difference over some inputs in standard deviations of PyTorch's output."""
    rows = [fresh_inputs(case, seed) for seed in range(INPUTS)]
    expected = [np.concatenate(column) for column in zip(*(case.expected(row) for row in rows), strict=True)]
    given = [np.concatenate(column) for column in zip(*(run([x.numpy() for x in row]) for row in rows), strict=True)]
    assert all(output.std() > 1e-2 for output in expected)
    return [abs(ours - theirs).max() / theirs.std() for ours, theirs in zip(given, expected, strict=True)]


@pytest.mark.parametrize("name", NAMES)
def test_a_float32_file_computes_what_pytorch_computes(name, cases, file_of, exporter):
    assert max(errors(cases[name], exporter.load(file_of(name, SINGLE)))) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_a_float16_file_differs_by_its_rounding(name, cases, file_of, exporter):
    found = errors(cases[name], exporter.load(file_of(name, HALF)))
    assert max(found) < 1e-2  # about ten roundings of 2**-11 in a row, on sums of some hundred terms
    assert min(found) > 1e-5  # and it is rounded indeed: onnxruntime alone would compute in float32


class Hot(nn.Module):
    """Passes 65504, the largest float16, on the way to a small result."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * 1000) * (x * 1000) * 1e-6


def test_an_overflow_of_float16_shows_when_the_file_runs(make_case, lower, exporter, tmp_path):
    hot = make_case(Hot(), (torch.full((1, 4), 2.0),), ("x",), ("y",))
    (output,) = exporter.load(lower(hot, HALF, tmp_path / "hot.onnx"))([hot.inputs[0].numpy()])
    assert not np.isfinite(output).any()


def test_the_ends_have_the_names_of_the_card(cases, file_of):
    graph = onnx.load(file_of("several", SINGLE)).graph
    assert [value.name for value in graph.input] == [spec.name for spec in cases["several"].card.inputs]
    assert [value.name for value in graph.output] == [spec.name for spec in cases["several"].card.outputs]


def test_one_tensor_can_be_two_outputs(make_case, lower, exporter, tmp_path):
    class Twice(nn.Module):
        def forward(self, x):
            y = x.relu()
            return y, y, x

    twice = make_case(Twice(), (torch.randn(1, 8),), ("a",), ("b", "c", "d"))
    first, second, same = exporter.load(lower(twice, SINGLE, tmp_path / "twice.onnx"))([twice.inputs[0].numpy()])
    assert (first == second).all()
    assert (same == twice.inputs[0].numpy()).all()


@pytest.mark.parametrize("recipe", [SINGLE, HALF], ids=["fp32", "fp16"])
def test_the_card_comes_back(recipe, cases, file_of, exporter):
    given = replace(cases["classifier"].card, precision=recipe.precision)
    assert exporter.card(file_of("classifier", recipe)) == given


def test_other_tools_find_labels_and_normalisation_in_the_metadata(cases, file_of):
    stored = {entry.key: entry.value for entry in onnx.load(file_of("classifier", SINGLE)).metadata_props}
    assert stored["labels"].splitlines() == list(cases["classifier"].card.labels)
    assert stored["mean"] == "0.485 0.456 0.406"
    assert stored["model"] == "small"


@pytest.mark.parametrize("recipe", [SINGLE, HALF], ids=["fp32", "fp16"])
def test_nothing_tells_where_the_file_was_made(recipe, file_of):
    content = file_of("classifier", recipe).read_bytes()
    for trace in (b"pkg.torch", b".py", str(Path.cwd()).encode(), sys.prefix.encode()):
        assert trace not in content


@pytest.mark.parametrize("recipe", [SINGLE, HALF], ids=["fp32", "fp16"])
def test_every_weight_is_used_and_the_graph_is_valid(recipe, file_of):
    model = onnx.load(file_of("several", recipe))
    onnx.checker.check_model(model, full_check=True)
    read = {name for node in model.graph.node for name in node.input}
    assert {weight.name for weight in model.graph.initializer} <= read


def test_the_contents_are_the_operators_of_the_network(file_of, exporter):
    operators = exporter.contents(file_of("classifier", SINGLE)).operators
    expected = {"Conv": 2, "Relu": 1, "Gelu": 1, "AveragePool": 1, "LayerNormalization": 1, "Softmax": 1, "Resize": 1}
    assert expected.items() <= operators.items()
    assert "BatchNormalization" not in operators


@pytest.mark.parametrize("recipe", [SINGLE, HALF], ids=["fp32", "fp16"])
def test_two_processes_write_the_same_bytes(recipe, cases, tmp_path, exporter):
    case = cases["classifier"]
    torch.export.save(capture(case.module, case.inputs), tmp_path / "program.pt2")
    (tmp_path / "card.json").write_text(case.card.to_json())
    for seed in ("1", "2"):
        arguments = [
            "onnx",
            recipe.precision,
            tmp_path / "program.pt2",
            tmp_path / "card.json",
            tmp_path / f"{seed}.onnx",
        ]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", LOWER_AGAIN, *map(str, arguments)], env=environment, check=True)
    assert (tmp_path / "1.onnx").read_bytes() == (tmp_path / "2.onnx").read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 3],
        lambda data: data[:-1],
        lambda data: bytes(len(data)),
        lambda data: np.random.default_rng(0).bytes(5000),
        lambda data: b"\x08\x0a",  # a model message with a version and nothing else
    ],
    ids=["empty", "third", "cut", "zeros", "random", "hollow"],
)
def test_a_damaged_file_is_refused(damage, file_of, exporter, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(damage(file_of("classifier", SINGLE).read_bytes()))
    for read in (exporter.card, exporter.load):
        with pytest.raises(BadArtifactError):
            read(broken)


def test_weights_in_other_files_are_refused(file_of, exporter, tmp_path):
    model = onnx.load(file_of("classifier", SINGLE))
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../etc/passwd")
    (tmp_path / "reaching.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BadArtifactError, match="other files"):
        exporter.load(tmp_path / "reaching.onnx")


def test_a_file_that_edge_did_not_write_is_refused(file_of, exporter, tmp_path):
    model = onnx.load(file_of("classifier", SINGLE))
    kept = [entry for entry in model.metadata_props if entry.key != KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    (tmp_path / "foreign.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BadArtifactError, match="no card"):
        exporter.card(tmp_path / "foreign.onnx")


def test_a_card_that_names_what_the_graph_lacks_is_refused(make_case, lower, exporter, tmp_path):
    sound = lower(make_case(nn.ReLU(), (torch.randn(1, 4),), ("a",), ("b",)), SINGLE, tmp_path / "sound.onnx")
    model = onnx.load(sound)
    for entry in model.metadata_props:
        entry.value = entry.value.replace('"name":"a"', '"name":"other"')
    (tmp_path / "wrong.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BadArtifactError, match="other"):
        exporter.load(tmp_path / "wrong.onnx")


def test_an_input_of_another_shape_is_one_of_our_errors(file_of, exporter):
    run = exporter.load(file_of("classifier", SINGLE))
    with pytest.raises(BadArtifactError, match="cannot run"):
        run([np.zeros((1, 3, 8, 8), np.float32)])


def test_an_operator_without_translation_is_named(make_case, lower, tmp_path):
    class Singular(nn.Module):
        def forward(self, x):
            return torch.linalg.svd(x)[1]

    with pytest.raises(ConversionError, match="svd"):
        lower(make_case(Singular(), (torch.randn(4, 4),), ("a",), ("b",)), SINGLE, tmp_path / "svd.onnx")


class EnlargedTwice(nn.Module):
    """Two resizes whose factors are one constant in the file."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

    def forward(self, x):
        for layer in (self.first, self.second):
            x = F.interpolate(layer(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        return x


def test_resizes_that_share_a_constant_can_be_halved(make_case, lower, exporter, tmp_path):
    torch.manual_seed(0)
    case = make_case(EnlargedTwice().eval(), (torch.randn(1, 3, 8, 8),), ("a",), ("b",))
    path = lower(case, HALF, tmp_path / "twice.onnx")
    (found,), (wanted,) = exporter.load(path)([case.inputs[0].numpy()]), case.expected(case.inputs)
    assert np.abs(found - wanted).max() / wanted.std() < 1e-2


def test_the_runtime_reports_nothing_home(file_of, tmp_path):
    """Its wheels for Linux leave an identity of the machine and a session in these folders where they do."""
    code = "import sys; from pathlib import Path; from edge import plugins; plugins.exporter('onnx').load(Path(sys.argv[1]))"
    words = [sys.executable, "-c", code, str(file_of("classifier", SINGLE))]
    environment = {**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run(words, check=True, env=environment)
    assert not list(tmp_path.iterdir())
