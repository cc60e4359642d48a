"""The verification catches the faults that exports really have, and passes the sound file: through a real ONNX file."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from edge import plugins, programs
from edge.check import check
from edge.expected import expected
from edge.models.sources import Model, resolve
from edge.passes.capture import capture, rewrite
from edge.reference import ModelRequest
from edge.spec import Precision, Recipe

RECIPE = Recipe("onnx")


@pytest.fixture(scope="module")
def model() -> Model:
    return resolve(ModelRequest("efficientformer_mini"))


@pytest.fixture(scope="module")
def answers(model):
    return expected(model)


def verdict_of(module: nn.Module, model: Model, answers, folder: Path, recipe: Recipe = RECIPE, card=None):
    card = card or programs.card(model, recipe)
    exporter = plugins.exporter(recipe.exporter)
    path = folder / f"model{exporter.suffix}"
    exporter.lower(rewrite(capture(module, model.example_inputs()), exporter.passes()), recipe, card, path)
    return check(path, answers, log=folder / "log", timeout_s=300)


def swap_channels(network: nn.Module) -> nn.Module:
    stem = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    stem.weight.data = stem.weight.data.flip(1)
    return network


def drop_bias(network: nn.Module) -> nn.Module:
    layer = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d) and layer.bias is not None][-1]
    layer.bias.data.zero_()
    return network


def change_epsilon(network: nn.Module) -> nn.Module:
    return every(nn.BatchNorm2d, network, "eps", 1e-3)


def tanh_gelu(network: nn.Module) -> nn.Module:
    return every(nn.GELU, network.deploy(), "approximate", "tanh")


def include_padding(network: nn.Module) -> nn.Module:
    return every(nn.AvgPool2d, network, "count_include_pad", True)


def every(kind: type[nn.Module], network: nn.Module, setting: str, value: object) -> nn.Module:
    """The network with a setting of all its layers of one kind changed; there must be some."""
    layers = [layer for layer in network.modules() if isinstance(layer, kind)]
    assert layers
    for layer in layers:
        setattr(layer, setting, value)
    return network


FAULTS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "swapped channels": swap_channels,
    "dropped bias": drop_bias,
    "wrong batch-norm epsilon": change_epsilon,
    "tanh GELU": tanh_gelu,
    "pooling that counts the padding": include_padding,
}


def test_the_sound_file_passes(model, answers, tmp_path):
    verdict = verdict_of(model.deploy(), model, answers, tmp_path)
    assert verdict.verdict == "ok", verdict.reason


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_the_verification(fault, model, answers, tmp_path):
    broken = FAULTS[fault](copy.deepcopy(model.module))
    verdict = verdict_of(broken, model, answers, tmp_path)
    assert verdict.verdict == "failed", f"{fault}: {verdict.comparison}"


def test_a_wrong_normalisation_on_the_card_fails(model, answers, tmp_path):
    card = programs.card(model, RECIPE)
    wrong = replace(card, preprocess=replace(card.preprocess, mean=(0.5, 0.5, 0.5)))
    assert verdict_of(model.deploy(), model, answers, tmp_path, card=wrong).verdict == "failed"


class Hot(nn.Module):
    """Activations past 65504, the largest float16, between two layers that undo each other."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 5, 3, padding=1)
        self.up.weight.data *= 1e5
        self.down.weight.data *= 1e-5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(torch.relu(self.up(x))).mean((2, 3))


def test_an_overflow_of_float16_fails(model, tmp_path):
    torch.manual_seed(0)
    hot = replace(model, module=Hot().eval(), outputs=(replace(model.outputs[0], shape=(1, 5)),), labels=())
    sound = verdict_of(hot.module, hot, expected(hot), tmp_path)
    assert sound.verdict == "ok", sound.reason
    overflowed = verdict_of(hot.module, hot, expected(hot), tmp_path, replace(RECIPE, precision=Precision.FP16))
    assert overflowed.verdict == "failed", overflowed.comparison


def test_the_statistics_of_the_test_network_are_not_those_of_a_fresh_one(model):
    layers = [layer for layer in model.module.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert layers
    assert all(layer.running_var.std() / layer.running_var.mean() > 0.1 for layer in layers)  # fresh: all ones
