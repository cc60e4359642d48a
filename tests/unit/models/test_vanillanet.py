"""VanillaNet has the published sizes, merges exactly into its deployed form, and refuses to merge too early."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from edge.errors import ConversionError, UnknownNameError, UsageError
from edge.models.catalog import CATALOG, entry
from edge.models.fold import require_no_batchnorm
from edge.models.vanillanet import (
    VARIANTS,
    DeployedVanillaNet,
    LeakSchedule,
    SeriesActivation,
    VanillaNet,
    VanillaNetConfig,
    build,
    build_deploy,
    leak_at,
)

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-11}
"""Relative L2; in float32 what models.md §8 asks of a fold (measured: 3e-7 to 2e-6), in float64 (measured: 1e-15)."""

PUBLISHED = {  # MACs of the training form at 224, entries of its state dict, of the deployed one's (models.md §0)
    "vanillanet_5": (8_450_519_616, 89, 18),
    "vanillanet_6": (10_104_521_280, 109, 22),
    "vanillanet_7": (11_827_364_416, 129, 26),
    "vanillanet_8": (13_491_200_576, 149, 30),
    "vanillanet_9": (15_155_036_736, 169, 34),
    "vanillanet_10": (16_818_872_896, 189, 38),
    "vanillanet_11": (18_482_709_056, 209, 42),
    "vanillanet_12": (20_146_545_216, 229, 46),
    "vanillanet_13": (21_810_381_376, 249, 50),
    "vanillanet_13_x1_5": (48_745_701_952, 249, 50),
    "vanillanet_13_x1_5_ada_pool": (89_966_269_504, 249, 50),
}

DEEP = VARIANTS["vanillanet_13"].wider(1 / 16)
"""VanillaNet-13 in depth and strides, with a sixteenth of its channels."""

POOLED = VanillaNetConfig((48, 48, 64, 96), (1, 2, 2), pooled_sides=(7, 4), stem_stride=3, stem_padding=1)
"""The padded stem and the adaptive pools of the widest variant, small."""


def randomised(config: VanillaNetConfig, seed: int = 0, least_variance: float = 0.5) -> VanillaNet:
    torch.manual_seed(seed)
    network = VanillaNet(config, num_classes=10).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.running_var, least_variance, 1.5)
            nn.init.normal_(layer.bias, std=0.1)
            nn.init.normal_(layer.running_mean, std=0.1)
        elif isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)
            nn.init.normal_(layer.bias, std=0.05)
        elif isinstance(layer, SeriesActivation):
            nn.init.normal_(layer.weight, std=1 / 7)
    return network


def on_meta(name: str) -> VanillaNet:
    with torch.device("meta"):
        return build(name).eval()


def pictures(*shape: int, seed: int = 7) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def multiplications(module: nn.Module, size: int) -> int:
    with FlopCounterMode(display=False) as counter:
        module(torch.empty(1, 3, size, size, device="meta"))
    return counter.get_total_flops() // 2


@torch.no_grad()
def outputs(x: Tensor, *modules: nn.Module) -> list[Tensor]:
    return [module(x) for module in modules]


def assert_same(actual: Tensor, expected: Tensor) -> None:
    assert expected.std() > 1e-2
    assert (actual - expected).norm() / expected.norm() <= TOLERANCE[expected.dtype]


def test_every_variant_has_its_row_in_the_catalog():
    assert set(VARIANTS) == {row.name for row in CATALOG if row.family == "vanillanet"}


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_are_those_of_the_catalog(name):
    assert parameters(on_meta(name)) == entry(name).params


@pytest.mark.parametrize("name", VARIANTS)
def test_merged_parameters_are_those_of_the_catalog(name):
    assert parameters(on_meta(name).deploy()) == entry(name).params_deploy


@pytest.mark.parametrize("name", VARIANTS)
def test_multiplications_of_the_merged_form_are_those_of_the_catalog(name):
    assert multiplications(on_meta(name).deploy(), entry(name).input_size) == entry(name).macs


@pytest.mark.parametrize("name", PUBLISHED)
def test_multiplications_of_the_training_form_are_the_published_ones(name):
    assert multiplications(on_meta(name), 224) == PUBLISHED[name][0]


@pytest.mark.parametrize("name", PUBLISHED)
def test_state_dicts_have_the_published_sizes(name):
    network = on_meta(name)
    assert (len(network.state_dict()), len(network.deploy().state_dict())) == PUBLISHED[name][1:]


def test_names_and_shapes_are_those_of_the_released_checkpoints():
    state = on_meta("vanillanet_5").state_dict()
    shapes = {
        "stem1.0.weight": (512, 3, 4, 4),
        "stem2.2.bn.running_var": (512,),
        "stages.1.conv2.0.weight": (2048, 1024, 1, 1),
        "stages.0.conv1.1.weight": (512,),
        "stages.2.act.weight": (4096, 1, 7, 7),
        "cls1.2.weight": (1000, 4096, 1, 1),
        "cls1.3.num_batches_tracked": (),
        "cls2.0.bias": (1000,),
    }
    assert {key: tuple(state[key].shape) for key in shapes} == shapes


def test_names_of_the_merged_form_are_those_of_the_released_checkpoints():
    with torch.device("meta"):
        names = build_deploy("vanillanet_5").state_dict().keys()
    stages = {
        f"stages.{i}.{layer}.{kind}" for i in range(3) for layer in ("conv", "act") for kind in ("weight", "bias")
    }
    ends = {f"{layer}.{kind}" for layer in ("stem.0", "stem.1", "cls.2") for kind in ("weight", "bias")}
    assert names == stages | ends


def test_official_names_are_our_own():
    network = build("vanillanet_mini")
    assert network.official_state().keys() == network.official_names().keys() == network.state_dict().keys()


def test_the_leak_is_not_in_the_state_dict():
    assert not [key for key in build("vanillanet_mini").state_dict() if "leak" in key]


@pytest.mark.parametrize("least_variance", [0.5, 1e-3])
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("config", [VARIANTS["vanillanet_mini"], DEEP, POOLED], ids=["mini", "deep", "pooled"])
def test_merging_computes_the_same(config, seed, least_variance):
    network = randomised(config, seed, least_variance)
    expected, actual = outputs(pictures(2, 3, 64, 64, seed=seed), network, network.deploy())
    assert_same(actual, expected)


@pytest.mark.parametrize("config", [VARIANTS["vanillanet_mini"], DEEP, POOLED], ids=["mini", "deep", "pooled"])
def test_merging_is_exact_but_for_rounding(config):
    network = randomised(config, least_variance=1e-3).double()
    expected, actual = outputs(pictures(2, 3, 64, 64).double(), network, network.deploy())
    assert_same(actual, expected)


def test_merging_a_published_variant_computes_the_same():
    network = randomised(VARIANTS["vanillanet_5"])
    expected, actual = outputs(pictures(1, 3, 64, 64), network, network.deploy())
    assert_same(actual, expected)


@pytest.mark.parametrize("config", [VARIANTS["vanillanet_mini"], POOLED], ids=["mini", "pooled"])
def test_merging_is_exact_at_the_borders(config):
    network, picture = randomised(config).double(), pictures(1, 3, 64, 64).double()
    picture[:, :, 2:-2, 2:-2] = 0
    merged = network.deploy()
    trunk, merged_trunk = (
        nn.Sequential(network.stem1, network.stem2, network.stages),
        nn.Sequential(merged.stem, merged.stages),
    )
    expected, blank = outputs(picture, trunk, merged_trunk), outputs(torch.zeros_like(picture), trunk, merged_trunk)
    assert_same(expected[1] - blank[1], expected[0] - blank[0])


def test_a_wrong_epsilon_would_be_seen():
    network = randomised(VARIANTS["vanillanet_mini"], least_variance=1e-3)
    other = copy.deepcopy(network)
    for layer in other.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 1e-5
    expected, actual = outputs(pictures(2, 3, 32, 32), network, other.deploy())
    assert (actual - expected).norm() / expected.norm() > TOLERANCE[torch.float32]


def test_the_batch_norms_have_the_published_epsilon():
    network = build("vanillanet_mini")
    assert {layer.eps for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)} == {1e-6}


def test_a_series_activation_sums_a_window_of_rectified_neighbours():
    act, x = SeriesActivation(2, 3).eval(), pictures(1, 2, 9, 9)
    windows = F.unfold(torch.relu(x), 7, padding=3).reshape(1, 2, 49, 81)
    expected = (windows * act.weight.reshape(2, 49, 1)).sum(2).reshape(1, 2, 9, 9)
    torch.testing.assert_close(act(x), expected / (1 + 1e-6) ** 0.5)


def test_no_leak_makes_relus_of_the_inner_activations():
    network = randomised(VARIANTS["vanillanet_mini"])
    network.set_leak(0.0)
    x, block = pictures(1, 128, 8, 8), network.stages[0]
    assert torch.equal(block(x), block.act(block.pool(block.conv2(torch.relu(block.conv1(x))))))


def test_half_a_leak_is_half_a_relu_everywhere_in_the_network():
    network = randomised(VARIANTS["vanillanet_mini"])
    network.set_leak(0.5)
    x = pictures(1, 3, 32, 32)

    def half(y: Tensor) -> Tensor:
        return (torch.relu(y) + y) / 2

    with torch.no_grad():
        y = network.stem2(half(network.stem1(x)))
        for block in network.stages:
            y = block.act(block.pool(block.conv2(half(block.conv1(y)))))
        expected = network.cls2(half(network.cls1(y))).flatten(1)
        assert_same(network(x), expected)


@pytest.mark.parametrize("leak", [0.0, 0.99])
def test_a_network_that_still_leaks_too_little_is_not_merged(leak):
    network = build("vanillanet_mini")
    network.set_leak(leak)
    with pytest.raises(ConversionError, match="leak"):
        network.deploy()


def test_a_fresh_network_can_be_merged_at_once():
    assert build("vanillanet_mini").deploy()


@pytest.mark.parametrize("schedule", LeakSchedule)
def test_the_leak_grows_from_0_to_1_and_stays(schedule):
    leaks = [leak_at(epoch, 10, schedule) for epoch in range(13)]
    assert leaks[0] == 0
    assert leaks[10:] == [1, 1, 1]
    assert leaks[:10] == sorted(set(leaks[:10]))


def test_the_linear_leak_is_the_share_of_the_epochs():
    assert leak_at(3, 10) == pytest.approx(0.3)


def test_the_cosine_leak_starts_slowly():
    assert leak_at(1, 4, LeakSchedule.COSINE) == pytest.approx((1 - 0.5**0.5) / 2)


def test_without_leak_epochs_the_leak_is_1_from_the_start():
    assert leak_at(0, 0) == 1


def test_the_merged_form_has_no_batch_norm():
    require_no_batchnorm(build("vanillanet_mini").deploy())


def test_merging_changes_nothing_in_the_network():
    network = randomised(VARIANTS["vanillanet_mini"])
    before = copy.deepcopy(network.state_dict())
    with torch.no_grad():
        for parameter in network.deploy().parameters():
            parameter.zero_()
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_merged_weights_load_strictly_into_a_merged_network():
    merged, loaded = randomised(VARIANTS["vanillanet_mini"]).deploy(), build_deploy("vanillanet_mini")
    loaded.load_state_dict(merged.state_dict(), strict=True)
    a, b = outputs(pictures(2, 3, 32, 32), merged, loaded)
    assert isinstance(loaded, DeployedVanillaNet)
    assert torch.equal(a, b)


def test_a_training_step_reaches_every_parameter():
    network = randomised(VARIANTS["vanillanet_mini"]).train()
    network.set_leak(0.3)
    network(pictures(4, 3, 32, 32)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("size", [(16, 16), (33, 50), (64, 64)])
def test_any_size_that_the_pools_leave_a_map_of_runs(size):
    network = build("vanillanet_mini", num_classes=3, image_size=size).eval()
    assert network(pictures(2, 3, *size)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "size"), [("vanillanet_5", 31), ("vanillanet_mini", 15), ("vanillanet_13_x1_5_ada_pool", 112)]
)
def test_an_image_that_the_pools_reduce_to_nothing_is_refused(name, size):
    with pytest.raises(UsageError, match="cannot take") as caught:
        build(name, image_size=(224, size))
    assert f"at least {size + 1} pixels" in caught.value.hint


def test_an_unknown_variant_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError) as caught:
        build("vanillanet_4")
    assert "vanillanet_" in caught.value.hint
