"""The supernet: names that an optimiser and a file understand, and networks that share its weights."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from random import Random

import pytest
import torch
from torch import Tensor

from edge import plugins
from edge.models.randomise import randomise_statistics
from edge.models.vanillanet import VanillaNet
from edge.models.weights import load_state, load_weights, save_weights
from edge.search.supernet import Supernet, renamed
from edge.space import SearchSpace
from edge.spec import Choice, ModelSpec
from edge.training.loop import parameter_groups

PICTURES = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return plugins.space("efficientformer", (32, 32), 5)


@pytest.fixture
def supernet(space: SearchSpace) -> Supernet:
    made = Supernet(space, 0)
    randomise_statistics(made, 1)
    return made


def changed(space: SearchSpace, **choices: Choice) -> ModelSpec:
    """The largest network but for a few choices, whose dots are written as underscores."""
    named = {name.replace("_", "."): value for name, value in choices.items()}
    return ModelSpec(space.name, {**space.largest().choices, **named})


def borrowed(supernet: Supernet, network: torch.nn.Module, spec: ModelSpec) -> set[str]:
    prefixes = supernet.space.lent_from(spec)
    return {renamed(name, prefixes) for name, _ in network.named_parameters()}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(space: SearchSpace) -> None:
    first, again, other = (Supernet(space, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_it_leaves_torchs_random_state_alone(space: SearchSpace) -> None:
    before = torch.get_rng_state()
    made = Supernet(space, 0)
    made.network(space.draw(Random(0)))
    made.extract(space.draw(Random(1)))
    assert torch.equal(torch.get_rng_state(), before)


def test_as_a_network_it_is_the_largest(space: SearchSpace, supernet: Supernet) -> None:
    largest = supernet.extract(space.largest())
    for mode in (False, True):
        ours, theirs = supernet.train(mode)(PICTURES), largest.train(mode)(PICTURES)
        ours, theirs = (each if isinstance(each, tuple) else (each,) for each in (ours, theirs))
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_kernels_and_matrices_decay_and_nothing_else_does(supernet: Supernet) -> None:
    decayed, free = (group["params"] for group in parameter_groups(supernet, 0.1))
    assert {parameter.dim() for parameter in decayed} == {2, 4}
    names = {id(parameter): name for name, parameter in supernet.named_parameters()}
    assert {names[id(parameter)].rpartition(".")[2] for parameter in free} == {
        "weight", "bias", "gamma", "attention_biases",
    }  # fmt: skip


def test_it_is_saved_and_loaded_as_any_network(space: SearchSpace, supernet: Supernet, tmp_path: Path) -> None:
    save_weights(supernet, tmp_path / "weights.safetensors")
    loaded = Supernet(space, 9)
    load_weights(loaded, load_state(tmp_path / "weights.safetensors"))
    spec = space.draw(Random(2))
    assert torch.equal(loaded.network(spec).eval()(PICTURES), supernet.network(spec).eval()(PICTURES))


def test_a_copy_lends_weights_of_its_own(space: SearchSpace, supernet: Supernet) -> None:
    copied = deepcopy(supernet)
    before = supernet(PICTURES)[0]
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.mul_(2)
    assert torch.equal(supernet(PICTURES)[0], before)
    assert not torch.equal(copied(PICTURES)[0], before)


def test_networks_that_lack_other_blocks_have_other_weights(space: SearchSpace, supernet: Supernet) -> None:
    one = changed(space, stage3_block2="identity")
    other = changed(space, stage3_block3="identity")
    assert space.blocks(one) == space.blocks(other)
    answers = [supernet.network(spec).eval()(PICTURES) for spec in (one, other)]
    assert not torch.equal(*answers)
    assert (answers[0] - answers[1]).abs().max() > 1e-3


def test_a_block_pools_and_attends_with_other_weights(space: SearchSpace, supernet: Supernet) -> None:
    attends, pools = space.covering()
    last = "stages.3.blocks.3."
    names = [borrowed(supernet, supernet.extract(spec), spec) for spec in (attends, pools)]
    of_block = [{name for name in each if name.startswith(last)} for each in names]
    assert not of_block[0] & of_block[1]
    assert of_block[0] | of_block[1] == {name for name, _ in supernet.named_parameters() if name.startswith(last)}


def test_weights_that_a_network_was_not_lent_do_not_move_it(space: SearchSpace, supernet: Supernet) -> None:
    spec = space.smallest()
    before = supernet.network(spec).eval()(PICTURES)
    used = borrowed(supernet, supernet.extract(spec), spec)
    with torch.no_grad():
        for name, parameter in supernet.named_parameters():
            if name not in used:
                parameter.mul_(3)
    assert torch.equal(supernet.network(spec).eval()(PICTURES), before)


def test_a_step_of_the_supernet_moves_the_networks_made_after_it(space: SearchSpace, supernet: Supernet) -> None:
    spec = space.draw(Random(4))
    extracted = supernet.extract(spec).eval()
    before = supernet.network(spec).eval()(PICTURES)
    loss: Tensor = supernet.network(spec)(PICTURES)[0].square().mean()
    loss.backward()
    torch.optim.SGD(supernet.parameters(), lr=0.1).step()
    assert not torch.equal(supernet.network(spec).eval()(PICTURES), before)
    assert torch.equal(extracted(PICTURES), before)


def test_the_leak_of_a_deeply_trained_family_is_that_of_the_supernet() -> None:
    space = plugins.space("vanillanet", (32, 32), 5)
    supernet = Supernet(space)
    supernet.set_leak(0.25)
    for made in (supernet.network(space.smallest()), supernet.extract(space.smallest())):
        assert isinstance(made, VanillaNet)
        assert made.leak == 0.25


def test_with_channels_last_in_memory_a_network_and_its_own_copy_answer_alike_too(
    space: SearchSpace, supernet: Supernet
) -> None:
    channels_last = supernet.to(memory_format=torch.channels_last)
    pictures = PICTURES.contiguous(memory_format=torch.channels_last)
    for spec in (space.largest(), space.draw(Random(5))):
        network, own = channels_last.network(spec).eval(), channels_last.extract(spec).eval()
        assert torch.equal(network(pictures), own(pictures))
        assert own.stem.conv2.weight.is_contiguous(memory_format=torch.channels_last)
