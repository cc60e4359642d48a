"""Every search space keeps its promise: one name per network, steps of one choice, and blocks that are the whole network."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from itertools import pairwise
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from edge import plugins
from edge.errors import UsageError
from edge.models.catalog import CATALOG
from edge.models.randomise import randomise_statistics
from edge.search.lending import lent
from edge.search.supernet import Supernet, renamed
from edge.space import Block, SearchSpace
from edge.spec import ModelSpec

NAMES = plugins.names("edge.spaces")
SIZES = ((32, 32), (64, 64), (224, 224))
CLASSES = 10
NO_POINTS = {"vanillanet_13_x1_5_ada_pool"}
"""Hand-made, but pooled to sides that its strides do not give."""
seeds = st.integers(0, 2**32)


@cache
def space(name: str, size: tuple[int, int] = (32, 32), classes: int = CLASSES) -> SearchSpace:
    return plugins.space(name, size, classes)


@cache
def known_blocks(name: str, size: tuple[int, int]) -> frozenset[Block]:
    return frozenset(space(name, size).every_block())


def deployed(of: SearchSpace, spec: ModelSpec) -> nn.Module:
    network = of.build(spec).eval()
    randomise_statistics(network, 1)
    return network.deploy()


def params(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def macs(module: nn.Module, shape: tuple[int, ...]) -> int:
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, *shape))
    return counter.get_total_flops() // 2


def tensors(*modules: nn.Module) -> list[Tensor]:
    """Every parameter, then every buffer."""
    return [*(p for m in modules for p in m.parameters()), *(b for m in modules for b in m.buffers())]


def points(of: SearchSpace) -> list[ModelSpec]:
    return [of.smallest(), of.largest(), *(of.draw(Random(seed)) for seed in range(3))]


@pytest.mark.parametrize("name", NAMES)
def test_importing_a_space_and_listing_its_blocks_needs_no_torch(name: str) -> None:
    code = (
        f"import sys; from edge import plugins; space = plugins.space({name!r}, (32, 32), 10); space.every_block(); "
        "print(len(space.blocks(space.largest())), 'torch' in sys.modules)"
    )
    count, heavy = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert int(count) > 3
    assert heavy == "False"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds)
@settings(deadline=None, max_examples=40)
def test_a_drawn_point_is_of_the_space_by_its_only_name(name: str, size: tuple[int, int], seed: int) -> None:
    of = space(name, size)
    spec = of.draw(Random(seed))
    of.check(spec)
    assert of.canonical(spec) == spec == of.draw(Random(seed))


@pytest.mark.parametrize("name", NAMES)
def test_drawing_varies_every_choice(name: str) -> None:
    of = space(name)
    drawn = [of.draw(Random(seed)) for seed in range(400)]
    for choice, values in of.choices.items():
        assert {spec.choices[choice] for spec in drawn} == {*values}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds)
@settings(deadline=None, max_examples=40)
def test_a_mutation_is_another_network_of_the_space(name: str, size: tuple[int, int], seed: int) -> None:
    of = space(name, size)
    random = Random(seed)
    spec = of.draw(random)
    other = of.mutate(spec, random)
    of.check(other)
    assert other != spec
    assert of.blocks(other) != of.blocks(spec)


@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds, data=st.data())
@settings(deadline=None, max_examples=40)
def test_any_values_have_a_canonical_form_that_is_its_own(name: str, seed: int, data: st.DataObject) -> None:
    of = space(name)
    values = {choice: data.draw(st.sampled_from(values)) for choice, values in of.choices.items()}
    once = of.canonical(ModelSpec(name, values))
    assert of.canonical(once) == once
    assert of.has(once)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds)
@settings(deadline=None, max_examples=60)
def test_every_block_of_every_point_is_known_ahead(name: str, size: tuple[int, int], seed: int) -> None:
    assert {*space(name, size).blocks(space(name, size).draw(Random(seed)))} <= known_blocks(name, size)


@pytest.mark.parametrize("name", NAMES)
def test_no_block_is_known_that_no_point_has(name: str) -> None:
    found = {block for seed in range(20_000) for block in space(name).blocks(space(name).draw(Random(seed)))}
    unseen = known_blocks(name, (32, 32)) - found
    assert len(unseen) < len(found) / 50, unseen


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_blocks_follow_one_another_from_the_picture_to_the_logits(name: str, size: tuple[int, int]) -> None:
    of = space(name, size)
    for spec in points(of):
        blocks = of.blocks(spec)
        assert blocks[0].input == (3, *size)
        assert blocks[-1].output == (CLASSES,)
        assert all(block.output == after.input for block, after in pairwise(blocks))


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_its_blocks_with_a_networks_weights_compute_the_network(name: str) -> None:
    of = space(name)
    images = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2
    for spec in points(of):
        network = deployed(of, spec)
        blocks = of.blocks(spec)
        modules = [of.module(block) for block in blocks]
        for own, given_ in zip(tensors(*modules), tensors(network), strict=True):
            own.copy_(given_)
        x = images
        for block, module in zip(blocks, modules, strict=True):
            x = module(x)
            assert tuple(x.shape[1:]) == block.output
        assert x.std() > 1e-3
        assert torch.equal(x, network(images))


@pytest.mark.parametrize("size", [(64, 64), (224, 224)])
@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_its_blocks_hold_all_that_a_network_holds_and_computes(name: str, size: tuple[int, int]) -> None:
    of = space(name, size)
    network = deployed(of, of.smallest())
    modules = [(of.module(block), block.input) for block in of.blocks(of.smallest())]
    assert sum(params(module) for module, _ in modules) == params(network)
    assert sum(macs(module, shape) for module, shape in modules) == macs(network, (3, *size))


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_block_has_the_same_lively_weights_every_time(name: str) -> None:
    of = space(name)
    for block in of.blocks(of.largest()):
        x = torch.randn(1, *block.input, generator=torch.Generator().manual_seed(0))
        once, again = of.module(block), of.module(block)
        assert torch.equal(once(x), again(x))
        assert once(x).std() > 1e-3
        assert not once.training


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_deploy_form_of_a_point_computes_its_network(name: str) -> None:
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2
    for spec in points(space(name)):
        network = space(name).build(spec).eval()
        randomise_statistics(network, 1)
        logits = network(images)
        assert logits.shape == (2, CLASSES)
        assert logits.std() > 1e-3
        assert (network.deploy()(images) - logits).norm() / logits.norm() < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_training_reaches_every_weight_of_a_point(name: str) -> None:
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for spec in points(space(name)):
        network = space(name).build(spec).train()
        answers = network(images)
        sum(each.square().sum() for each in (answers if isinstance(answers, tuple) else (answers,))).backward()
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in network.parameters())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_network_is_far_from_the_largest(name: str, size: tuple[int, int]) -> None:
    of = space(name, size)
    with torch.device("meta"):
        least, most = params(of.build(of.smallest())), params(of.build(of.largest()))
    assert least < most / 4


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_uniform_scaling_grows_step_by_step_from_small_to_large(name: str, size: tuple[int, int]) -> None:
    of = space(name, size)
    scaled = dict.fromkeys(of.uniform(step / 40) for step in range(41))
    with torch.device("meta"):
        sizes = [params(of.build(spec)) for spec in scaled]
        assert sizes[-1] <= params(of.build(of.largest()))
    assert len(sizes) >= 5
    assert all(small < large for small, large in pairwise(sizes))


@pytest.mark.parametrize("share", [-0.01, 1.01, float("nan")])
@pytest.mark.parametrize("name", NAMES)
def test_a_share_beyond_the_space_is_refused(name: str, share: float) -> None:
    with pytest.raises(UsageError, match="no share"):
        space(name).uniform(share)


@pytest.mark.parametrize("size", [(32, 32), (224, 224)])
@pytest.mark.parametrize("name", NAMES)
def test_the_hand_made_networks_are_points_of_the_catalogs_sizes(name: str, size: tuple[int, int]) -> None:
    rows = {row.name: row for row in CATALOG if row.family == name and row.image_size == size}
    members = space(name, size).members
    assert {*members} == {*rows} - NO_POINTS
    for member, spec in members.items():
        with torch.device("meta"):
            assert params(space(name, size, rows[member].num_classes).build(spec)) == rows[member].params


@pytest.mark.parametrize("name", NAMES)
def test_points_of_elsewhere_are_refused(name: str) -> None:
    of = space(name)
    good = of.smallest()
    choice, values = next((choice, values) for choice, values in of.choices.items() if len(values) > 1)
    without = {key: value for key, value in good.choices.items() if key != choice}
    for spec in (
        ModelSpec("elsewhere", good.choices),
        ModelSpec(name, without),
        ModelSpec(name, {**good.choices, "more": 1}),
        ModelSpec(name, {**good.choices, choice: -1}),
        ModelSpec(name, {**good.choices, choice: str(values[0])}),
    ):
        assert not of.has(spec)
        for use in (of.check, of.build, of.blocks):
            with pytest.raises(UsageError) as caught:
                use(spec)
            assert caught.value.hint


@pytest.mark.parametrize("name", NAMES)
def test_a_block_of_another_space_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no block"):
        space(name).module(Block("nonsense", (), (3, 8, 8), (3, 8, 8)))


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_too_small_for_the_space_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        plugins.space(name, (3, 32), 10)
    assert caught.value.hint


@cache
def lively_supernet(name: str, size: tuple[int, int]) -> Supernet:
    made = Supernet(space(name, size), 0)
    randomise_statistics(made, 1)
    return made


def answers(network: nn.Module, pictures: Tensor) -> tuple[Tensor, ...]:
    """Of each head."""
    given_ = network(pictures)
    return given_ if isinstance(given_, tuple) else (given_,)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_a_supernet_has_what_every_network_borrows(name: str, size: tuple[int, int]) -> None:
    of = space(name, size)
    with torch.device("meta"):
        supernet = Supernet(of)
        for spec in points(of):
            own = [each for each, _ in supernet.extract(spec).named_parameters()]
            assert len({renamed(each, of.lent_from(spec)) for each in own}) == len(own)  # no weight is borrowed twice


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_of_a_supernet_is_lent_whole_to_one_of_the_covering_networks(name: str) -> None:
    of, supernet = space(name), lively_supernet(name, (32, 32))
    whole: set[str] = set()
    for spec in of.covering():
        of.check(spec)
        for own, weight in of.build(spec).named_parameters():
            lender = renamed(own, of.lent_from(spec))
            if supernet.get_parameter(lender).shape == weight.shape:
                whole.add(lender)
    assert whole == {lender for lender, _ in supernet.named_parameters()}


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (64, 32)])
@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_an_extracted_network_answers_exactly_as_the_supernets(name: str, size: tuple[int, int]) -> None:
    of, supernet = space(name, size), lively_supernet(name, size)
    pictures = torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(0))
    for spec in points(of):
        shared, own = supernet.network(spec), supernet.extract(spec)
        assert not [*shared.parameters()]
        assert shared.training
        assert own.training
        for mode in (True, False):
            ours, theirs = answers(shared.train(mode), pictures), answers(own.train(mode), pictures)
            assert ours[0].std() > 1e-3
            assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
        loaded = of.build(spec).eval()
        loaded.load_state_dict(own.state_dict())
        assert torch.equal(loaded(pictures), own(pictures))


@pytest.mark.parametrize("name", NAMES)
def test_a_networks_gradients_reach_exactly_what_it_borrowed(name: str) -> None:
    of, supernet = space(name), lively_supernet(name, (32, 32))
    pictures = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for spec in points(of):
        supernet.zero_grad()
        own = supernet.extract(spec)
        for network in (own, supernet.network(spec)):
            sum(each.square().sum() for each in answers(network, pictures)).backward()
        grown = {lender for lender, weight in supernet.named_parameters() if weight.grad is not None}
        assert grown == {renamed(each, of.lent_from(spec)) for each, _ in own.named_parameters()}
        for each, weight in own.named_parameters():
            gradient = supernet.get_parameter(renamed(each, of.lent_from(spec))).grad
            torch.testing.assert_close(lent(each, gradient, tuple(weight.shape)), weight.grad, rtol=1e-4, atol=1e-4)
            assert gradient.count_nonzero() == lent(each, gradient, tuple(weight.shape)).count_nonzero()
