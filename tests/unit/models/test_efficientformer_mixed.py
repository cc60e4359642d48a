"""A mixture with all of its shares in one network is that network; in between, every path and every share learns."""

from __future__ import annotations

from random import Random

import pytest
import torch

from edge.models.efficientformer import ToTokens
from edge.models.network import seeded
from edge.models.randomise import randomise_statistics
from edge.spaces.efficientformer import ABSENT, ATTENDS, POOLS, EfficientFormer
from edge.spec import ModelSpec

SPACE = EfficientFormer((32, 48), 5)


@pytest.fixture(scope="module")
def lent():
    """The two networks that a mixture takes, with the same weights wherever they both have them."""
    networks = {}

    def lend(spec):
        if spec not in networks:
            with seeded(0):
                networks[spec] = SPACE.build(spec)
            randomise_statistics(networks[spec], 0)
        return networks[spec]

    return lend


def alone(spec, lend):
    """The network of `spec`, each of its blocks copied from that of its kind and place in the lent ones."""
    network = SPACE.build(spec)
    pools = lend(widest(dict.fromkeys(SPACE.mixed_choices, POOLS)))
    attends = lend(SPACE.largest())
    copy(network.stem, pools.stem)
    copy(network.norm, pools.norm)
    copy(network.head, pools.head)
    copy(network.head_dist, pools.head_dist)
    for number, stage in enumerate(network.stages):
        copy(stage.downsample, pools.stages[number].downsample)
        names = [name for name in SPACE.choices if name.startswith(f"stage{number + 1}.block")]
        kept = [(index, name) for index, name in enumerate(names) if spec.choices[name] != ABSENT]
        blocks = [block for block in stage.blocks if not isinstance(block, ToTokens)]
        for block, (index, name) in zip(blocks, kept, strict=True):
            lender = attends if spec.choices[name] == ATTENDS else pools
            copy(block, [each for each in lender.stages[number].blocks if not isinstance(each, ToTokens)][index])
    return network


def copy(to, source):
    to.load_state_dict(source.state_dict())


def widest(kinds):
    return ModelSpec(SPACE.name, {**SPACE.largest().choices, **kinds})


def one_hot(spec):
    return {
        name: torch.tensor([float(value == spec.choices[name]) for value in SPACE.choices[name]])
        for name in SPACE.mixed_choices
    }


def points():
    random = Random(0)
    drawn = [SPACE.draw(random) for _ in range(4)]
    kinds = [{name: spec.choices[name] for name in SPACE.mixed_choices} for spec in (*drawn, SPACE.smallest())]
    return [widest(each) for each in kinds] + [SPACE.largest()]


def test_every_block_is_mixed_but_those_that_always_pool():
    assert [name for name in SPACE.choices if "block" in name and name not in SPACE.mixed_choices] == [
        "stage1.block1",
        "stage2.block1",
        "stage3.block1",
    ]


@pytest.mark.parametrize("spec", points())
def test_with_all_shares_in_one_network_it_is_that_network(spec, lent):
    pictures = torch.rand(3, 3, 32, 48)
    network, mixture = alone(spec, lent).eval(), SPACE.mixture(lent, one_hot(spec)).eval()
    with torch.no_grad():
        expected, found = network(pictures), mixture(pictures)
    assert expected.std() > 1e-2
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_while_training_it_answers_with_both_heads(lent):
    answer = SPACE.mixture(lent, one_hot(SPACE.largest())).train()(torch.rand(2, 3, 32, 48))
    assert [each.shape for each in answer] == [(2, 5), (2, 5)]


def test_every_share_and_every_path_gets_gradients(lent):
    shares = {
        name: torch.full((len(SPACE.choices[name]),), 1 / len(SPACE.choices[name]), requires_grad=True)
        for name in SPACE.mixed_choices
    }
    mixture = SPACE.mixture(lent, shares).eval()
    mixture(torch.rand(2, 3, 32, 48)).square().sum().backward()
    assert all((share.grad != 0).all() for share in shares.values())
    pools, attends = (lent(widest(dict.fromkeys(SPACE.mixed_choices, POOLS))), lent(SPACE.largest()))
    for network in (pools, attends):
        for block in network.stages[3].blocks:
            assert all(parameter.grad is not None for parameter in block.parameters())
