"""Gradients of a group are means over its processes, whichever of them used a parameter."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch import nn

from edge.training.parallel import Group


def parameters():
    used, unused, frozen = (nn.Parameter(torch.ones(2, count)) for count in (1, 2, 3))
    used.grad = torch.full((2, 1), 3.0)
    frozen.requires_grad_(False)
    return used, unused, frozen


def test_gradients_are_averaged_with_those_of_the_other_process(monkeypatch):
    theirs = torch.tensor([1.0, 1, 8, 8, 8, 8])
    monkeypatch.setattr(dist, "all_reduce", lambda joint: joint.add_(theirs))
    used, unused, frozen = parameters()
    Group(rank=0, size=2).average_gradients([used, unused, frozen])
    assert used.grad.tolist() == [[2.0], [2.0]]
    assert unused.grad.tolist() == [[4.0, 4.0], [4.0, 4.0]]  # zero here, 8 there
    assert frozen.grad is None


def test_a_process_alone_keeps_its_gradients():
    used, unused, _ = parameters()
    Group().average_gradients([used, unused])
    assert used.grad.tolist() == [[3.0], [3.0]]
    assert unused.grad is None


@pytest.mark.parametrize(("ours", "theirs"), [(False, False), (False, True), (True, False), (True, True)])
def test_what_holds_in_one_process_holds_in_the_group(monkeypatch, ours, theirs):
    monkeypatch.setattr(dist, "all_reduce", lambda joint: joint.add_(float(theirs)))
    assert Group(rank=0, size=2).any(ours) is (ours or theirs)


def test_a_process_alone_asks_only_itself():
    assert Group().any(True) is True
    assert Group().any(False) is False
