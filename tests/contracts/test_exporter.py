"""Every exporter keeps its promise: found by its file, light to import, deterministic, and safe against damaged files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge import plugins, whole
from edge.errors import BadArtifactError
from edge.pipeline import ExportOrder, export
from edge.reference import ModelRequest
from edge.spec import InputKind, Recipe
from edge.verification import describe
from edge.verify import FAILED

NAMES = plugins.names("exporters")
TOY = Path(__file__).parents[1] / "fakes" / "toy.py"


def exported(name: str, folder: Path, factory: str = "network", kind: InputKind = InputKind.FLOAT) -> Path:
    if absent := plugins.missing(plugins.exporter(name)):
        pytest.skip(f"not installed: {', '.join(absent)}")
    order = ExportOrder(ModelRequest(f"{TOY}:{factory}"), (Recipe(name, input_kind=kind),), folder, folder / "logs")
    (artifact,) = export(order, lambda who, stage: None).artifacts
    assert artifact.verdict["verdict"] != FAILED, artifact.verdict
    return artifact.path


@pytest.fixture(scope="module", params=NAMES)
def toy_file(request, tmp_path_factory) -> Path:
    return exported(request.param, tmp_path_factory.mktemp(request.param))


def test_suffixes_are_distinct():
    suffixes = [plugins.exporter(name).suffix for name in NAMES]
    assert len(set(suffixes)) == len(suffixes)
    assert all(suffix.startswith(".") for suffix in suffixes)


@pytest.mark.parametrize("name", NAMES)
def test_importing_the_plugin_imports_no_toolchain(name):
    code = f"import sys; from edge import plugins; plugins.exporter({name!r}); print('torch' in sys.modules)"
    heavy = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert heavy.strip() == "False"


def test_the_card_inside_the_file_is_the_one_that_was_given(toy_file, tmp_path):
    card = plugins.exporter_for(toy_file).card(toy_file)
    assert card.labels == ("a", "b", "c", "d", "e")
    assert card.inputs[0].name == "image"
    assert card.inputs[0].shape == (1, 3, 32, 32)
    assert card.preprocess is not None
    assert "torch" in card.tools


def test_two_exports_are_byte_identical(toy_file, tmp_path):
    again = exported(plugins.exporter_for(toy_file).name, tmp_path)
    assert whole.sha256(again) == whole.sha256(toy_file)


def test_no_path_of_this_machine_is_inside_the_file(toy_file):
    for file in whole.files_in(toy_file):
        content = file.read_bytes().replace(str(TOY).encode(), b"")  # the model's own reference, as the user gave it
        assert str(Path(sys.prefix)).encode() not in content
        assert str(Path.cwd()).encode() not in content


def test_a_picture_input_gives_the_same_answers(toy_file, tmp_path):
    name = plugins.exporter_for(toy_file).name
    path = exported(name, tmp_path, kind=InputKind.IMAGE)
    assert plugins.exporter(name).card(path).inputs[0].layout == plugins.exporter(name).picture_layout


@pytest.mark.parametrize("name", NAMES)
def test_several_inputs_and_outputs_export(name, tmp_path):
    path = exported(name, tmp_path, "two_in_two_out")
    card = plugins.exporter_for(path).card(path)
    assert [spec.name for spec in card.inputs] == ["left", "right"]
    assert [spec.name for spec in card.outputs] == ["sum", "product"]


@pytest.mark.parametrize("name", NAMES)
def test_integers_go_in_as_the_card_says(name, tmp_path):
    assert plugins.exporter(name).card(exported(name, tmp_path, "tokens")).inputs[0].dtype in {"int64", "int32"}


def test_the_contents_are_counted(toy_file):
    assert sum(plugins.exporter_for(toy_file).contents(toy_file).operators.values()) > 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: bytes(len(data)),
        lambda data: b"",
        lambda data: bytes(range(256)) * 8,
    ],
)
def test_a_damaged_file_is_refused_and_nothing_crashes(toy_file, damage, tmp_path):
    broken = tmp_path / toy_file.name
    whole.copy(toy_file, broken)
    largest = max(whole.files_in(broken), key=lambda file: file.stat().st_size)
    largest.write_bytes(damage(largest.read_bytes()))
    if largest.suffix == ".bin":  # a package's weights are only read when it is executed
        largest = next(file for file in whole.files_in(broken) if file.suffix == ".mlmodel")
        largest.write_bytes(damage(largest.read_bytes()))
    with pytest.raises(BadArtifactError):
        describe(broken, tmp_path)


def test_loading_gives_a_runner(toy_file):
    assert callable(plugins.exporter_for(toy_file).load(toy_file))
