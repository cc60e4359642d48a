"""Checkpoints as the authors and timm publish them load strictly into our networks, from the file to the output."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

from edge.models.randomise import randomise_statistics
from edge.models.sources import resolve
from edge.models.weights import save_weights
from edge.reference import ModelRequest

NAMES = ("efficientformer_l1", "efficientformerv2_s0", "efficientvit_m0")
TOLERANCE = 1e-5
"""Largest difference over the output's spread, in float32."""


def published(name: str) -> nn.Module:
    """timm's network with weights that no initialisation would give."""
    module = timm.create_model(name).eval()
    randomise_statistics(module, seed=5)
    return module


def answers(module: nn.Module) -> Tensor:
    with torch.no_grad():
        return module(torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0)))


def assert_same(module: nn.Module, expected: nn.Module) -> None:
    wanted = answers(expected)
    assert wanted.std() > 1e-2
    assert (answers(module) - wanted).abs().max() < TOLERANCE * wanted.std()


@pytest.mark.parametrize("name", NAMES)
def test_weights_in_the_naming_of_timm_give_the_outputs_of_timm(name: str, tmp_path: Path) -> None:
    expected = published(name)
    save_weights(expected, tmp_path / "model.safetensors")
    assert_same(resolve(ModelRequest(name, weights=tmp_path / "model.safetensors")).module, expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_in_the_naming_of_the_authors_gives_the_same_outputs(name: str, tmp_path: Path) -> None:
    trained = resolve(ModelRequest(name, seed=5)).module
    state = trained.official_state()
    assert state.keys() != trained.state_dict().keys()
    torch.save({"model": state, "epoch": 299}, tmp_path / "official.pth")
    assert_same(resolve(ModelRequest(name, weights=tmp_path / "official.pth")).module, trained)
