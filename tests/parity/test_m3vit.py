"""M3ViT's pathways become files of every target that answer as the network does, with all experts or with those in use."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import plugins
from edge.pipeline import ExportOrder, ExportReport, export
from edge.reference import ModelRequest
from edge.spec import Recipe

for toolchain in ("coremltools", "litert_torch", "executorch", "onnx"):
    pytest.importorskip(toolchain)

RECIPES = tuple(Recipe(name) for name in plugins.names("exporters"))

FACTORY = '''
"""The pathway of one task with the experts alone that it uses on one picture."""

import torch

from edge.models.m3vit import build
from edge.models.randomise import randomise_statistics


def pruned():
    network = build("m3vit_mini_depth", image_size=(16, 32)).eval()
    randomise_statistics(network, 0)
    picture = torch.randn(1, 3, 16, 32, generator=torch.Generator().manual_seed(0))
    fewer = network.deploy_with_experts_of(picture)  # three tokens of two experts each: at most six of eight
    return fewer, {"inputs": [{"name": "image", "shape": picture.shape}], "outputs": ["depth"]}
'''


def exported(reference: str, recipes: tuple[Recipe, ...], folder: Path) -> ExportReport:
    return export(ExportOrder(ModelRequest(reference), recipes, folder, folder / "logs"), lambda *_: None)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    return exported("m3vit_mini_seg", RECIPES, tmp_path_factory.mktemp("m3vit"))


@pytest.mark.parametrize("target", [recipe.exporter for recipe in RECIPES])
def test_a_pathway_is_verified_on_every_target(report: ExportReport, target: str) -> None:
    [artifact] = [each for each in report.artifacts if each.target == target]
    assert artifact.verdict["verdict"] == "ok"
    assert artifact.verdict["relative_error"] < 1e-4


def test_a_map_keeps_the_name_of_its_task(report: ExportReport) -> None:
    for artifact in report.artifacts:
        card = plugins.exporter_for(artifact.path).card(artifact.path)
        assert [(output.name, output.shape) for output in card.outputs] == [("seg", (1, 5, 64, 64))]


def test_a_pathway_with_the_experts_in_use_alone_is_verified_and_smaller(report: ExportReport, tmp_path: Path) -> None:
    factory = tmp_path / "fewer_experts.py"
    factory.write_text(FACTORY)
    [artifact] = exported(f"{factory}:pruned", (Recipe("onnx"),), tmp_path).artifacts
    assert artifact.verdict["verdict"] == "ok"
    [whole] = [each for each in report.artifacts if each.target == "onnx"]
    assert artifact.bytes < whole.bytes
