"""The average follows the weights and statistics of its network, and nothing else."""

from __future__ import annotations

import torch
from torch import nn

from edge.training.average import Average


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_weights_and_statistics_move_by_one_minus_the_decay():
    followed = network()
    average = Average(followed)
    before = {name: value.clone() for name, value in average.network.state_dict().items()}
    with torch.no_grad():
        followed[0].weight += 1
        followed[1].running_var += 2
    average.follow(followed, 0.75)
    after = average.network.state_dict()
    torch.testing.assert_close(after["0.weight"], before["0.weight"] + 0.25)
    torch.testing.assert_close(after["1.running_var"], before["1.running_var"] + 0.5)


def test_counters_are_copied():
    followed = network()
    average = Average(followed)
    followed[1].num_batches_tracked += 7
    average.follow(followed, 0.9)
    assert average.network[1].num_batches_tracked == 7


def test_without_decay_the_average_is_the_network():
    followed = network()
    average = Average(followed)
    with torch.no_grad():
        followed[0].weight.normal_()
    average.follow(followed, 0.0)
    assert torch.equal(average.network[0].weight, followed[0].weight)


def test_the_average_is_apart_from_its_network_and_learns_nothing():
    followed = network()
    average = Average(followed)
    with torch.no_grad():
        followed[0].weight.zero_()
    assert average.network[0].weight.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
    assert not average.network.training
