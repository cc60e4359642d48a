"""A point of a search space is a model, wherever it is written down; what is no point is refused in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edge import plugins, runfolder
from edge.errors import UnknownNameError, UsageError
from edge.export_folder import file_stem
from edge.models import point
from edge.models.sources import resolve, resolve_fresh
from edge.models.weights import save_weights
from edge.reference import Kind, ModelRequest, fingerprint
from edge.report.find import find
from edge.runfolder import RunCard
from edge.training.start import bare, is_fresh, start

SIZE = (32, 32)


def space(name="vanillanet", classes=10):
    return plugins.space(name, SIZE, classes)


def request(name="vanillanet", **more):
    return ModelRequest(point.reference(space(name).smallest()), image_size=SIZE, num_classes=10, **more)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(space().smallest().fields() | {"accuracy": 0.5}))
    return path


def test_it_is_told_from_code_and_from_folders(file):
    assert request().kind is ModelRequest(f"point:{file}").kind is Kind.POINT
    assert request("efficientformer").kind is Kind.POINT  # longer than a file's name may be


def test_a_reference_comes_back_as_the_point_that_it_was_made_of():
    for name in plugins.names("edge.spaces"):
        spec = space(name).uniform(0.5)
        assert point.spec_of(point.reference(spec)) == spec
        assert point.reference(point.spec_of(point.reference(spec))) == point.reference(spec)


@pytest.mark.parametrize("name", plugins.names("edge.spaces"))
def test_the_network_is_that_of_the_space(name):
    model = resolve_fresh(request(name))
    own = space(name).build(space(name).smallest()).state_dict()
    assert {key: value.shape for key, value in model.module.state_dict().items()} == {
        key: value.shape for key, value in own.items()
    }
    assert model.inputs[0].shape == (1, 3, *SIZE)
    assert model.outputs[0].shape == (1, 10)
    assert model.preprocess is not None
    assert model.preprocess.crop == (0.95 if name.startswith("efficientformer") else 0.875)


def test_the_same_seed_gives_the_same_network_and_another_another():
    first, again, other = (resolve(request(seed=seed)).weights.sha256 for seed in (3, 3, 4))
    assert first == again != other


def test_a_member_of_the_family_is_the_catalogs_network():
    member = plugins.space("vanillanet", (224, 224), 1000).members["vanillanet_5"]
    of_point = resolve_fresh(ModelRequest(point.reference(member)))
    assert of_point.weights.sha256 == resolve_fresh(ModelRequest("vanillanet_5")).weights.sha256


def test_weights_come_from_a_file(tmp_path):
    torch.manual_seed(9)
    trained = space().build(space().smallest())
    save_weights(trained, tmp_path / "w.safetensors")
    model = resolve_fresh(request(weights=tmp_path / "w.safetensors"))
    assert all(torch.equal(value, trained.state_dict()[key]) for key, value in model.module.state_dict().items())
    assert not is_fresh(request(weights=tmp_path / "w.safetensors"))
    assert is_fresh(request())


def test_its_content_decides_the_fingerprint(file):
    named = ModelRequest(f"point:{file}")
    before = fingerprint(named)
    assert None is not before == fingerprint(named)
    file.write_text(json.dumps(space().largest().fields()))
    assert fingerprint(named) != before
    assert fingerprint(request()) != fingerprint(replace(request(), num_classes=3))


def test_a_run_names_the_point_itself_so_that_it_may_be_moved(file, tmp_path):
    begun = start(ModelRequest(f"point:{file}", image_size=SIZE), "digits", 10)
    assert begun.reference == point.reference(space().smallest())
    run = tmp_path / "runs" / "best-4.0ms"
    runfolder.write(run, RunCard(begun.reference, 10, SIZE))
    save_weights(begun.network, run / runfolder.WEIGHTS)
    file.unlink()
    moved = run.rename(tmp_path / "best-4.0ms")
    model = resolve(ModelRequest(str(moved)))
    assert model.weights.sha256 == resolve_fresh(ModelRequest(begun.reference, None, False, 10, SIZE)).weights.sha256
    assert fingerprint(ModelRequest(str(moved))) is not None
    assert bare(ModelRequest(str(moved))).reference == begun.reference
    assert file_stem(str(moved)) == "best-4.0ms"


def test_names_of_files_are_short_and_tell_points_apart(file):
    for name in plugins.names("edge.spaces"):
        stems = [file_stem(point.reference(each)) for each in (space(name).smallest(), space(name).largest())]
        assert stems[0] != stems[1]
        assert all(stem.startswith(f"{name}-") and len(stem) == len(name) + 9 for stem in stems)
    assert file_stem(f"point:{file}") == "mine"
    assert len(file_stem('point:{"space":"' + "../" * 200 + '"}')) < 20


def test_a_report_of_its_export_looks_for_no_run(tmp_path):
    export = tmp_path / "export"
    export.mkdir()
    fields = {"reference": request("efficientformer").reference, "image_size": SIZE, "mean": None, "std": None}
    (export / "edge.json").write_text(json.dumps({"schema": "edge.export/1", "request": fields, "artifacts": []}))
    assert find(export).run is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("point:", "no point of a search space"),
        ("point:none.json", r"none\.json is no point of a search space: No such file"),
        ("point:.", "no point of a search space"),
        ("point:{", "the point is no point of a search space"),
        ("point:{}", "'space' is missing"),
        ('point:{"space":"vanillanet"}', "'choices' is missing"),
        ('point:{"space":"vanillanet","choices":3}', "no point of a search space"),
        ('point:{"space":["vanillanet"],"choices":{}}', "is no choice"),
        ('point:{"space":"vanillanet","choices":{"series":true}}', "True is no choice"),
        ('point:{"space":"vanillanet","choices":{"series":1.0}}', "1.0 is no choice"),
        ('point:{"space":"vanillanet","choices":{"series":1}}', "no point of vanillanet"),
        ("point:" + '{"a":' * 100_000, "no point of a search space"),
    ],
)
def test_what_is_no_point_is_refused_in_one_line(text, said):
    with pytest.raises(UsageError, match=said) as caught:
        resolve(ModelRequest(text))
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_a_misspelt_space_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="no search space named 'vanilanet'") as caught:
        resolve(ModelRequest('point:{"space":"vanilanet","choices":{}}'))
    assert "vanillanet" in caught.value.hint


def test_a_value_of_another_picture_size_names_the_option_that_helps():
    with pytest.raises(UsageError, match=r"stage1\.width is") as caught:
        resolve(replace(request("efficientvit"), image_size=None))
    assert "--image-size" in caught.value.hint


def test_published_weights_of_a_point_do_not_exist():
    with pytest.raises(UsageError, match="--pretrained") as caught:
        resolve(request(pretrained=True))
    assert "--weights" in caught.value.hint


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path):
    (tmp_path / "point.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        resolve(ModelRequest(f"point:{tmp_path / 'point.json'}"))
