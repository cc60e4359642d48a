"""What is timed has weights of its own, in every block of a chain, and the shapes that the blocks say."""

from __future__ import annotations

import pytest
import torch

from edge import plugins
from edge.latency.modules import model
from edge.latency.pieces import CHAIN, terms
from tests.fakes.toy_space import toy_space


@pytest.mark.parametrize("name", ["toy", "efficientformer"])
def test_every_piece_runs_and_its_weights_are_neither_shared_nor_zero(name):
    space = toy_space() if name == "toy" else plugins.space(name, (32, 32), 10)
    for block in dict.fromkeys(space.blocks(space.smallest())):
        for piece in terms(block, space):
            made = model(space, piece, seed=0)
            assert made.outputs[0].shape == (1, *piece[-1].output)
            tensors = [tensor for tensor in made.module.parameters() if tensor.dim() > 1]
            assert tensors
            assert all(tensor.abs().max() > 0 for tensor in tensors)
            assert len({tensor.detach().numpy().tobytes() for tensor in tensors}) == len(tensors)
            with torch.no_grad():
                assert made.module(torch.zeros(1, *piece[0].input)).isfinite().all()


def test_a_network_is_timed_in_its_deploy_form_without_batch_norms():
    space = plugins.space("efficientformer", (32, 32), 10)
    made = model(space, space.smallest(), seed=0)
    assert made.outputs[0].shape == (1, 10)
    assert not [layer for layer in made.module.modules() if isinstance(layer, torch.nn.BatchNorm2d)]


def test_a_chain_is_long_enough_for_a_slope():
    assert CHAIN >= 4
