"""The network behind an export is counted as it is, and never built by code that a folder names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from edge.card import Card, TensorSpec, WeightsOrigin
from edge.models.sources import Model
from edge.reference import ModelRequest
from edge.report import network
from edge.spec import InputKind, Precision

CARD = Card(
    "net",
    (TensorSpec("x", (1, 3, 4, 4)),),
    (TensorSpec("y", (1, 5)),),
    Precision.FP32,
    InputKind.FLOAT,
    WeightsOrigin("here"),
)


class Convolved(nn.Module):
    """A convolution, its batch norm, and a head; the norm is folded in the deploy form."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.convolution(x)).mean((2, 3)))

    def deploy(self) -> nn.Module:
        self.norm = nn.Identity()
        return self


def test_sizes_are_those_of_the_training_form_and_of_the_deployed_one() -> None:
    model = Model("net", Convolved().eval(), CARD.inputs, CARD.outputs, CARD.weights)
    facts = network.facts(CARD, model)
    convolution, head = 3 * 8 * 9 + 8, 8 * 5 + 5
    assert facts.params == convolution + 2 * 8 + head
    assert facts.params_deploy == convolution + head
    assert facts.macs == 3 * 8 * 9 * 4 * 4 + 8 * 5


def test_a_network_is_called_as_its_files_are_wherever_its_folder_lies() -> None:
    assert network.facts(replace(CARD, model="/home/somebody/demo/net"), "gone").name == "net"


def test_what_cannot_be_built_has_no_sizes() -> None:
    facts = network.facts(CARD, "it is gone")
    assert (facts.params, facts.params_deploy, facts.macs) == (None, None, None)
    assert facts.unknown == "it is gone"


@pytest.mark.parametrize("reference", ["{folder}/evil.py:make", "evil:make"])
def test_code_that_a_folder_names_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str) -> None:
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef make():\n    raise SystemExit\n")
    monkeypatch.syspath_prepend(tmp_path)
    why = network.rebuilt(ModelRequest(reference.format(folder=tmp_path)), CARD)
    assert "code" in str(why)
    assert not (tmp_path / "ran").exists()


def test_a_network_that_is_gone_is_a_reason_and_no_error() -> None:
    assert isinstance(network.rebuilt(ModelRequest("no_such_network"), CARD), str)


def test_weights_that_have_changed_are_not_taken_for_those_of_the_file() -> None:
    request = ModelRequest("efficientformer_mini", num_classes=5)
    card = replace(CARD, weights=WeightsOrigin("here", sha256="0" * 64))
    assert "changed" in str(network.rebuilt(request, card))
