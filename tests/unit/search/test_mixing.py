"""The forms of a block are drawn as often as they are probable, and what is of no use becomes improbable."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from edge.models.efficientformer_mixed import MetaPath
from edge.search.mixing import COLDEST, HOTTEST, Mixing, temperature
from edge.training.loop import parameter_groups

CHOICES = {"stage1.block2": ("identity", "4d"), "stage4.block2": ("identity", "4d", "3d")}


def test_at_first_every_form_is_as_probable_as_the_others():
    assert Mixing(CHOICES).importance() == {
        "stage1.block2": {"identity": 0.5, "4d": 0.5},
        "stage4.block2": pytest.approx({"identity": 1 / 3, "4d": 1 / 3, "3d": 1 / 3}),
    }


def test_importance_is_the_softmax_of_the_logits():
    mixing = Mixing(CHOICES)
    with torch.no_grad():
        mixing.logits[0].copy_(torch.tensor([0.25, 0.75]).log())
    assert mixing.importance()["stage1.block2"] == pytest.approx({"identity": 0.25, "4d": 0.75})


@pytest.mark.parametrize("tau", [HOTTEST, COLDEST])
def test_the_noise_is_gumbels_so_the_largest_share_falls_as_often_as_it_is_probable(tau):
    torch.manual_seed(0)
    mixing = Mixing({"which": tuple(range(3))})
    expected = torch.tensor([0.1, 0.3, 0.6])
    with torch.no_grad():
        mixing.logits[0].copy_(expected.log())
    draws = torch.stack([mixing.shares(tau)["which"] for _ in range(4000)])
    torch.testing.assert_close(draws.sum(1), torch.ones(4000))
    found = torch.bincount(draws.argmax(1), minlength=3) / 4000
    assert (found - expected).abs().max() < 4 * (0.25 / 4000) ** 0.5  # four standard deviations; the seed is fixed


def test_cold_shares_are_nearer_to_one_form_than_hot_ones():
    torch.manual_seed(0)
    mixing = Mixing(CHOICES)
    hot, cold = (
        torch.stack([mixing.shares(tau)["stage4.block2"].max() for _ in range(200)]).mean() for tau in (5, 0.5)
    )
    assert hot < 0.5 < cold


def test_the_temperature_falls_by_the_same_factor_every_epoch():
    found = [temperature(epoch, 5) for epoch in range(5)]
    assert (found[0], found[-1]) == (HOTTEST, pytest.approx(COLDEST))
    assert [later / earlier for earlier, later in pairwise(found)] == pytest.approx([0.1**0.25] * 4)
    assert temperature(0, 1) == HOTTEST


def test_the_logits_do_not_decay():
    _, free = parameter_groups(Mixing(CHOICES), 0.05)
    assert [tuple(each.shape) for each in free["params"]] == [(2,), (3,)]


class Noise(nn.Module):
    """A form of a block that forgets its input."""

    def forward(self, x):
        return torch.randn_like(x)


def test_a_path_that_is_of_no_use_becomes_improbable():
    torch.manual_seed(0)
    mixing, useful, head = Mixing({"block": ("useless", "useful")}), nn.Linear(4, 4), nn.Linear(4, 2)
    optimiser = torch.optim.AdamW([*mixing.parameters(), *useful.parameters(), *head.parameters()], lr=0.02)
    for step in range(150):
        x = torch.randn(32, 4)
        block = MetaPath((Noise(), useful), mixing.shares(temperature(step, 150))["block"])
        loss = nn.functional.cross_entropy(head(block(x)), (x[:, 0] > 0).long())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert mixing.importance()["block"]["useless"] < 0.2
