"""ML packages say what the network is, are equal byte for byte, and are read without trusting them.

Beside executing them, the tests compare the operators, their parameters, the declared shapes and the stored weights with the
network, and let coremltools rebuild the program from the file, which infers every type again.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edge import plugins, whole
from edge.errors import BadArtifactError, ConversionError, UsageError
from edge.measurement import Source
from edge.passes.capture import capture
from edge.spec import Precision, Recipe
from exporters.coreml import package
from exporters.coreml.runtime import ops
from exporters.coreml.runtime.program import CONTROL_FLOW

SINGLE, HALF = Recipe("coreml"), Recipe("coreml", Precision.FP16)
MODEL = f"Data/{package.MODEL}"
BLOBS = f"Data/{package.WEIGHTS}/weight.bin"

OPERATORS = {
    "conv": 2, "relu": 1, "gelu": 1, "avg_pool": 1, "layer_norm": 1, "linear": 3, "matmul": 2, "softmax": 1,
    "upsample_bilinear": 1, "reduce_max": 1,
}  # fmt: skip

LOWER_AGAIN = """
import sys, torch
from pathlib import Path
from edge import plugins
from edge.card import Card
from edge.spec import Precision, Recipe
precision, program, card, path = sys.argv[1:]
recipe = Recipe("coreml", Precision(precision))
plugins.exporter("coreml").lower(torch.export.load(program), recipe, Card.from_json(Path(card).read_text()), Path(path))
"""
INSPECT = """
import sys
from pathlib import Path
from edge import plugins
exporter = plugins.exporter("coreml")
exporter.card(Path(sys.argv[1])), exporter.contents(Path(sys.argv[1]))
print(sorted({"torch", "coremltools"} & set(sys.modules)))
"""


@pytest.fixture(scope="module", autouse=True)
def quiet():
    logging.getLogger("coremltools").setLevel(logging.ERROR)


@pytest.fixture(scope="module")
def exporter():
    return plugins.exporter("coreml")


@pytest.fixture
def sound(file_of, tmp_path) -> Path:
    """A package that a test may damage."""
    copy = tmp_path / "copy.mlpackage"
    shutil.copytree(file_of("classifier", SINGLE), copy)
    return copy


def the(kind, model):
    """The only operation of a kind."""
    (operation,) = (operation for operation in package.operations(model) if operation.type == kind)
    return operation


def constants(model):
    return {op.outputs[0].name: op.attributes["val"] for op in package.operations(model) if op.type == "const"}


def parameter(model, kind, name):
    """The value of a parameter that is a constant, of the only operation of a kind."""
    tensor = constants(model)[the(kind, model).inputs[name].arguments[0].name].immediateValue.tensor
    return list(getattr(tensor, tensor.WhichOneof("value")).values)


def head(path, model, name, dtype):
    """The weight or bias of the last linear layer as it lies in the blob file."""
    *_, layer = (operation for operation in package.operations(model) if operation.type == "linear")
    blob = constants(model)[layer.inputs[name].arguments[0].name].blobFileValue
    content = (path / BLOBS).read_bytes()
    size, offset = np.frombuffer(content, "<u8", 2, blob.offset + 8)
    return np.frombuffer(content[int(offset) : int(offset + size)], dtype)


@pytest.mark.parametrize("recipe", [SINGLE, HALF], ids=["fp32", "fp16"])
def test_the_contents_are_the_operators_of_the_network(recipe, file_of, exporter):
    assert OPERATORS.items() <= exporter.contents(file_of("classifier", recipe)).operators.items()


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("avg_pool", "exclude_padding_from_average", [True]),
        ("gelu", "mode", ["EXACT"]),
        ("softmax", "axis", [-1]),
        ("upsample_bilinear", "align_corners", [False]),
        ("upsample_bilinear", "scale_factor_height", [2.0]),
        ("reduce_max", "axes", [2, 3]),
    ],
)
def test_the_parameters_that_conversions_get_wrong_are_right(kind, name, value, file_of):
    assert parameter(package.read(file_of("classifier", SINGLE)), kind, name) == value


@pytest.mark.parametrize(("recipe", "dtype"), [(SINGLE, np.float32), (HALF, np.float16)], ids=["fp32", "fp16"])
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_the_weights_in_the_file_are_those_of_the_network(recipe, dtype, name, cases, file_of):
    path = file_of("classifier", recipe)
    expected = getattr(cases["classifier"].module.head, name).detach().numpy().astype(dtype)
    assert (head(path, package.read(path), name, dtype) == expected.ravel()).all()


@pytest.mark.parametrize("name", ["classifier", "planes", "several"])
def test_coremltools_rebuilds_the_program_from_the_file(name, file_of):
    import coremltools as ct
    from coremltools.converters.mil.frontend.milproto.load import load

    path = file_of(name, HALF)
    model = ct.models.MLModel(str(path), skip_model_load=True)
    program = load(model.get_spec(), model.get_spec().specificationVersion, model.weights_dir)
    assert len(program.functions["main"].outputs) == len(model.get_spec().description.output)


@pytest.mark.parametrize("recipe", [SINGLE, HALF], ids=["fp32", "fp16"])
def test_inputs_and_outputs_are_float32_in_the_order_of_the_card(recipe, cases, file_of):
    description = package.read(file_of("several", recipe)).description
    assert [feature.name for feature in description.input] == ["conv2d", "gelu", "left_out"]
    assert [feature.name for feature in description.output] == ["relu", "network_head_bias"]
    arrays = [feature.type.multiArrayType for feature in (*description.input, *description.output)]
    specs = (*cases["several"].card.inputs, *cases["several"].card.outputs)
    assert [tuple(array.shape) for array in arrays] == [spec.shape for spec in specs]
    assert {array.dataType for array in arrays} == {arrays[0].FLOAT32}


def test_a_picture_input_is_a_picture_that_the_graph_normalises(file_of):
    model = package.read(file_of("planes", SINGLE))
    (feature,) = model.description.input
    picture = feature.type.imageType
    assert (feature.name, picture.width, picture.height, picture.colorSpace) == ("image", 32, 32, picture.RGB)
    types = [operation.type for operation in package.operations(model) if operation.type != "const"]
    assert types[: types.index("conv")].count("sub") == 1


def test_a_classifier_gives_a_label_and_a_value_for_each(cases, file_of):
    model = package.read(file_of("classifier", SINGLE))
    description = model.description
    assert [feature.name for feature in description.output] == ["classLabel", "classLabel_probs"]
    assert (description.predictedFeatureName, description.predictedProbabilitiesName) == (
        "classLabel",
        "classLabel_probs",
    )
    values = the("classify", model).inputs["classes"].arguments[0].value.immediateValue.list.values
    labels = [value.immediateValue.tensor.strings.values[0] for value in values]
    assert labels == ["crane", "crane (2)", *cases["classifier"].card.labels[2:]]


def test_the_five_metadata_fields_and_the_preview_are_set(file_of):
    metadata = package.read(file_of("planes", SINGLE)).description.metadata
    assert metadata.author == "random numbers"
    assert metadata.license == "Apache-2.0"
    assert metadata.shortDescription == "small (fp32): image 1x3x32x32 to logits 1x10"
    assert metadata.versionString == "0123456789ab"
    assert metadata.userDefined["com.apple.coreml.model.preview.type"] == "imageClassifier"
    assert metadata.userDefined["std"] == "0.229 0.224 0.225"


@pytest.mark.parametrize("name", ["classifier", "several"])
def test_the_card_comes_back(name, cases, file_of, exporter):
    assert exporter.card(file_of(name, HALF)) == replace(cases[name].card, precision=Precision.FP16)


@pytest.mark.parametrize(("target", "version"), [("iOS15", 6), ("iOS16", 7), ("iOS17", 8), ("iOS18", 9)])
def test_the_oldest_system_decides_the_version_of_the_file(target, version, make_case, lower, tmp_path):
    case = make_case(nn.Conv2d(3, 4, 3).eval(), (torch.randn(1, 3, 8, 8),), ("x",), ("y",))
    path = lower(case, replace(HALF, coreml_target=target), tmp_path / "old.mlpackage")
    assert package.read(path).specificationVersion == version


def test_a_system_that_does_not_exist_is_a_usage_error(cases, lower, tmp_path):
    with pytest.raises(UsageError, match="iOS99"):
        lower(cases["classifier"], replace(SINGLE, coreml_target="iOS99"), tmp_path / "new.mlpackage")


@pytest.mark.parametrize("recipe", [SINGLE, HALF], ids=["fp32", "fp16"])
def test_two_processes_write_the_same_bytes(recipe, cases, tmp_path):
    case = cases["classifier"]
    torch.export.save(capture(case.module, case.inputs), tmp_path / "program.pt2")
    (tmp_path / "card.json").write_text(case.card.to_json())
    for seed in ("1", "2"):
        arguments = [recipe.precision, tmp_path / "program.pt2", tmp_path / "card.json", tmp_path / f"{seed}.mlpackage"]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run(
            [sys.executable, "-c", LOWER_AGAIN, *map(str, arguments)], env=environment, check=True, capture_output=True
        )
    assert whole.sha256(tmp_path / "1.mlpackage") == whole.sha256(tmp_path / "2.mlpackage")


def test_nothing_tells_where_or_when_the_file_was_made(file_of):
    content = b"".join(file.read_bytes() for file in whole.files_in(file_of("classifier", SINGLE)))
    for trace in (b"conversion_date", str(Path.cwd()).encode(), sys.prefix.encode(), tempfile.gettempdir().encode()):
        assert trace not in content


def test_a_conversion_leaves_nothing_in_the_temporary_folder(make_case, lower, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    lower(make_case(nn.ReLU(), (torch.randn(1, 4),), ("a",), ("b",)), SINGLE, tmp_path / "small.mlpackage")
    assert not list((tmp_path / "temporary").iterdir())


def test_looking_into_a_package_imports_neither_torch_nor_coremltools(file_of):
    command = [sys.executable, "-c", INSPECT, str(file_of("classifier", SINGLE))]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == "[]"


def test_a_program_with_an_alias_converts(make_case, exporter, tmp_path):
    class Sliced(nn.Module):
        def forward(self, x):
            return x[:, :].relu()

    case = make_case(Sliced(), (torch.randn(1, 4),), ("a",), ("b",))
    exporter.lower(capture(case.module, case.inputs), SINGLE, case.card, tmp_path / "alias.mlpackage")
    assert exporter.contents(tmp_path / "alias.mlpackage").operators == {"relu": 1}


def test_an_operator_without_translation_is_named(make_case, lower, tmp_path):
    class Singular(nn.Module):
        def forward(self, x):
            return torch.linalg.svd(x)[1]

    with pytest.raises(ConversionError, match="svd"):
        lower(make_case(Singular(), (torch.randn(4, 4),), ("a",), ("b",)), SINGLE, tmp_path / "svd.mlpackage")


class Twice(nn.Module):
    def forward(self, x):
        y = x.relu()
        return y, y


class Through(nn.Module):
    def forward(self, x):
        return x.relu(), x


@pytest.mark.parametrize("module", [Twice(), Through()], ids=["twice", "through"])
def test_outputs_that_coremltools_would_confuse_are_refused(module, make_case, lower, tmp_path):
    case = make_case(module, (torch.randn(1, 4),), ("a",), ("b", "c"))
    with pytest.raises(ConversionError, match="same tensor twice"):
        lower(case, SINGLE, tmp_path / "twice.mlpackage")


@pytest.mark.parametrize(("recipe", "bound"), [(SINGLE, 1e-5), (HALF, 2e-2)], ids=["fp32", "fp16"])
@pytest.mark.parametrize("name", ["classifier", "planes", "several"])
def test_an_executed_package_gives_the_numbers_of_pytorch(name, recipe, bound, cases, file_of, exporter):
    case = cases[name]
    run = exporter.load(file_of(name, recipe))
    first, *_ = case.inputs
    for picture in (first, first.flip(-1)):
        inputs = (picture, *case.inputs[1:])
        for found, wanted in zip(run([each.numpy() for each in inputs]), case.expected(inputs), strict=True):
            assert wanted.std() > 1e-2
            assert np.abs(found - wanted).max() / wanted.std() < bound


def test_all_operators_that_coremltools_registers_are_known_but_one():
    from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

    registered = set(SSAOpRegistry.core_ops) - {"_const_symbolic"}  # which never reaches a file
    known = ops.OPERATORS.keys() | CONTROL_FLOW
    assert registered - known == {"conv_quantized"}
    assert len(registered & known) >= 160


def test_what_executes_a_package_is_named(exporter):
    reference = "reference runtime" in exporter.executed_by()
    assert reference == (sys.platform != "darwin")
    assert (exporter.timed_as() is Source.REFERENCE_RUNTIME) == reference


@pytest.mark.parametrize("name", [MODEL, package.MANIFEST, BLOBS])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: bytes(len(data)),
        lambda data: np.random.default_rng(0).bytes(len(data)),
    ],
    ids=["empty", "half", "zeros", "random"],
)
def test_a_damaged_package_is_refused(name, damage, sound, exporter):
    (sound / name).write_bytes(damage((sound / name).read_bytes()))
    for read in (exporter.contents, exporter.load):
        with pytest.raises(BadArtifactError):
            read(sound)


@pytest.mark.parametrize("name", [MODEL, package.MANIFEST, BLOBS])
def test_a_package_that_lacks_a_file_is_refused(name, sound, exporter):
    (sound / name).unlink()
    with pytest.raises(BadArtifactError):
        exporter.load(sound)


def test_a_file_in_the_place_of_a_package_is_refused(exporter, tmp_path):
    (tmp_path / "flat.mlpackage").write_bytes(b"not a folder")
    with pytest.raises(BadArtifactError, match="folder"):
        exporter.card(tmp_path / "flat.mlpackage")


def rewritten(path, change):
    """Change the model message inside the package `path`."""
    model = package.read(path)
    change(model)
    (path / MODEL).write_bytes(model.SerializeToString())
    return path


def test_a_model_of_the_older_kind_is_refused_by_name(sound, exporter):
    rewritten(sound, lambda model: model.neuralNetwork.layers.add(name="old"))
    with pytest.raises(BadArtifactError, match="neuralNetwork"):
        exporter.card(sound)


def test_a_program_without_operations_is_refused(sound, exporter):
    rewritten(sound, lambda model: model.mlProgram.functions.clear())
    with pytest.raises(BadArtifactError, match="without operations"):
        exporter.contents(sound)


def test_a_package_that_edge_did_not_write_is_refused(sound, exporter):
    rewritten(sound, lambda model: model.description.metadata.userDefined.clear())
    with pytest.raises(BadArtifactError, match="no card"):
        exporter.card(sound)


@pytest.mark.parametrize("name", ["/etc/passwd", "@model_path/../../../secret.bin"])
def test_weights_outside_the_package_are_refused(name, sound, exporter):
    (sound.parent / "secret.bin").write_bytes(bytes(10_000))

    def reach(model):
        for operation in package.operations(model):
            if operation.attributes["val"].WhichOneof("value") == "blobFileValue":
                operation.attributes["val"].blobFileValue.fileName = name

    with pytest.raises(BadArtifactError, match="out"):
        exporter.contents(rewritten(sound, reach))


@pytest.mark.parametrize("name", [MODEL, BLOBS])
def test_a_link_that_leads_out_of_the_package_is_refused(name, sound, exporter):
    (sound / name).rename(sound.parent / "outside")
    (sound / name).symlink_to(sound.parent / "outside")
    with pytest.raises(BadArtifactError, match="leads out"):
        exporter.contents(sound)


def test_a_manifest_that_leads_out_of_the_package_is_refused(sound, exporter):
    manifest = json.loads((sound / package.MANIFEST).read_text())
    shutil.copyfile(sound / MODEL, sound.parent / "outside.mlmodel")
    manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"] = "../../outside.mlmodel"
    (sound / package.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BadArtifactError, match="leads out"):
        exporter.card(sound)
