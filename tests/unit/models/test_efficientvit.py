"""EfficientViT computes what the published network computes, in every form and naming, at any size."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from edge.errors import UnknownNameError, UsageError
from edge.models.catalog import CATALOG, entry
from edge.models.efficientvit import VARIANTS, EfficientViT, build
from edge.models.efficientvit_layers import CascadedGroupAttention
from edge.models.fold import require_no_batchnorm

PUBLISHED = tuple(f"efficientvit_m{i}" for i in range(6))
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-11}
"""Relative L2; in float32 what models.md §8 asks of a fold (measured: 2e-7 to 9e-7), in float64 (measured: up to 1e-14).

With random weights two pictures differ by only 1e-2 in their outputs, so what is exact is compared in float64 too.
"""

STATE_SIZES = {  # parameters, entries of timm's state dict, entries of the authors' (models.md §0)
    "efficientvit_m0": (354, 693, 699),
    "efficientvit_m1": (312, 609, 615),
    "efficientvit_m2": (306, 597, 603),
    "efficientvit_m3": (342, 669, 675),
    "efficientvit_m4": (354, 693, 699),
    "efficientvit_m5": (422, 827, 835),
}


def randomised(name: str, seed: int = 0, **size: tuple[int, int]) -> EfficientViT:
    torch.manual_seed(seed)
    network = build(name, **size).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            randomise_norm(layer)
        elif isinstance(
            layer, nn.Conv2d
        ):  # larger, and the residual sum outgrows float32; smaller, and no picture counts
            nn.init.normal_(layer.weight, std=0.7 * layer.weight[0].numel() ** -0.5)
        elif isinstance(layer, CascadedGroupAttention):
            nn.init.normal_(layer.attention_biases, std=0.5)
    for key, parameter in network.named_parameters():
        if key.endswith(("fc1.bias", "fc2.bias", "linear.bias")):
            nn.init.normal_(parameter, std=0.05)
    return network


def randomise_norm(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    for tensor in (norm.weight, norm.running_var):
        nn.init.uniform_(tensor, 0.5, 1.5)
    for tensor in (norm.bias, norm.running_mean):
        nn.init.normal_(tensor, std=0.1)


def on_meta(name: str) -> EfficientViT:
    with torch.device("meta"):
        return build(name).eval()


def pictures(*shape: int, seed: int = 7) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@torch.no_grad()
def outputs(x: Tensor, *modules: nn.Module) -> list[Tensor]:
    return [module(x) for module in modules]


def assert_same(actual: Tensor, expected: Tensor) -> None:
    assert expected.std() > 1e-2
    assert (actual - expected).norm() / expected.norm() <= TOLERANCE[expected.dtype]


def test_every_variant_has_its_row_in_the_catalog():
    assert set(VARIANTS) == {row.name for row in CATALOG if row.family == "efficientvit"}


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_are_those_of_the_catalog(name):
    assert parameters(on_meta(name)) == entry(name).params


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_with_folded_norms_are_those_of_the_catalog(name):
    assert parameters(on_meta(name).fold_batchnorm()) == entry(name).params_deploy


@pytest.mark.parametrize("name", VARIANTS)
def test_multiplications_are_those_of_the_catalog(name):
    network, size = on_meta(name), entry(name).input_size
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, size, size, device="meta"))
    assert counter.get_total_flops() == 2 * entry(name).macs


@pytest.mark.parametrize("name", PUBLISHED)
def test_tensors_and_state_dicts_have_the_published_sizes(name):
    network = on_meta(name)
    sizes = (len(list(network.parameters())), len(network.state_dict()), len(network.official_state()))
    assert sizes == STATE_SIZES[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_outputs_equal_those_of_timm(name):
    network, oracle = randomised(name), timm.create_model(name).eval()
    oracle.load_state_dict(network.state_dict(), strict=True)
    actual, expected = outputs(pictures(2, 3, 224, 224), network, oracle)
    assert_same(actual, expected)


def test_outputs_equal_those_of_timm_in_float64():
    network, oracle = randomised("efficientvit_m1").double(), timm.create_model("efficientvit_m1").double().eval()
    oracle.load_state_dict(network.state_dict(), strict=True)
    actual, expected = outputs(pictures(1, 3, 224, 224).double(), network, oracle)
    assert_same(actual, expected)


@pytest.mark.parametrize("size", [(96, 96), (160, 160), (200, 200), (224, 160), (100, 100)])
def test_outputs_equal_those_of_timm_at_sizes_whose_maps_need_padding(size):
    network = randomised("efficientvit_m0", image_size=size).double()
    oracle = timm.create_model("efficientvit_m0", img_size=size).double().eval()
    oracle.load_state_dict(network.state_dict(), strict=True)
    actual, expected = outputs(pictures(1, 3, *size).double(), network, oracle)
    assert_same(actual, expected)


def test_two_pictures_have_two_outputs():
    a, b = outputs(pictures(2, 3, 224, 224), randomised("efficientvit_m0"))[0]
    assert (a - b).norm() / a.norm() > 5e-3


def test_the_mixers_matter_to_the_output_that_is_compared():
    network = randomised("efficientvit_m0")
    other = copy.deepcopy(network)
    for layer in other.modules():
        if isinstance(layer, CascadedGroupAttention):
            nn.init.normal_(layer.attention_biases, std=0.5)
    before, after = outputs(pictures(1, 3, 224, 224), network, other)
    assert (before - after).norm() / before.norm() > 1e-3


@pytest.mark.parametrize("name", ["efficientvit_m0", "efficientvit_m1", "efficientvit_m2", "efficientvit_mini"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_fast_form_computes_the_same(name, seed):
    network, size = randomised(name, seed), entry(name).input_size
    expected, actual = outputs(pictures(1, 3, size, size, seed=seed), network, network.deploy())
    assert_same(actual, expected)


@pytest.mark.parametrize("name", ["efficientvit_m3", "efficientvit_m4", "efficientvit_m5"])
def test_the_fast_form_of_a_large_variant_computes_the_same(name):
    network = randomised(name)
    expected, actual = outputs(pictures(1, 3, 224, 224), network, network.deploy())
    assert_same(actual, expected)


@pytest.mark.parametrize("size", [(4, 4), (20, 20), (32, 48), (36, 60), (64, 64)])
def test_the_fast_form_of_three_pictures_computes_the_same_at_any_size(size):
    network = randomised("efficientvit_mini", image_size=size).double()
    expected, actual = outputs(pictures(3, 3, *size).double(), network, network.deploy())
    assert_same(actual, expected)


def test_the_fast_form_is_exact_at_the_borders():
    network = randomised("efficientvit_mini", image_size=(36, 36)).double()
    picture = 100 * pictures(1, 3, 36, 36).double()
    picture[:, :, 2:-2, 2:-2] = 0
    trunk, fast_trunk = nn.Sequential(network.patch_embed, network.stages), network.deploy()[:-1]
    expected, blank = outputs(picture, trunk, fast_trunk), outputs(torch.zeros_like(picture), trunk, fast_trunk)
    assert_same(expected[1] - blank[1], expected[0] - blank[0])


def test_folding_norms_alone_computes_the_same():
    network = randomised("efficientvit_mini")
    expected, actual = outputs(pictures(2, 3, 32, 32), network, network.fold_batchnorm())
    assert_same(actual, expected)


def test_the_fast_form_has_no_batch_norm():
    require_no_batchnorm(build("efficientvit_mini").deploy())


def test_making_the_fast_form_changes_nothing_in_the_network():
    network = randomised("efficientvit_mini")
    before = copy.deepcopy(network.state_dict())
    with torch.no_grad():
        for parameter in network.deploy().parameters():
            parameter.zero_()
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize("training", [False, True])
def test_a_bias_table_loaded_into_a_used_network_counts_at_once(training):
    network, x = randomised("efficientvit_mini"), pictures(2, 3, 32, 32)
    network(x)
    other = randomised("efficientvit_mini", seed=1)
    network.load_state_dict(other.state_dict())
    a, b = outputs(x, network.train(training), other.train(training))
    assert torch.equal(a, b)


def test_gradients_reach_every_parameter():
    network = randomised("efficientvit_mini").train()
    network(pictures(4, 3, 32, 32)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_official_names_are_those_of_the_released_checkpoints():
    names = on_meta("efficientvit_m0").official_names()
    assert {
        "patch_embed.conv4.bn.bias": "patch_embed.6.bn.bias",
        "stages.0.blocks.0.mixer.m.attn.qkvs.3.conv.weight": "blocks1.0.mixer.m.attn.qkvs.3.c.weight",
        "stages.1.downsample.res1.1.m.pw1.conv.weight": "blocks2.0.1.m.pw1.c.weight",
        "stages.2.downsample.patchmerge.conv3.conv.weight": "blocks3.1.conv3.c.weight",
        "stages.2.downsample.patchmerge.se.fc1.bias": "blocks3.1.se.fc1.bias",
        "stages.1.downsample.res2.0.m.bn.weight": "blocks2.2.0.m.bn.weight",
        "stages.2.blocks.2.mixer.m.attn.proj.1.conv.weight": "blocks3.5.mixer.m.attn.proj.1.c.weight",
        "stages.0.blocks.0.mixer.m.attn.attention_biases": "blocks1.0.mixer.m.attn.attention_biases",
        "head.linear.weight": "head.l.weight",
        "head.bn.running_mean": "head.bn.running_mean",
    }.items() <= names.items()


def test_official_names_cover_the_state_dict_without_collisions():
    network = on_meta("efficientvit_m5")
    names = network.official_names()
    assert names.keys() == network.state_dict().keys()
    assert len(set(names.values())) == len(names)


def test_the_official_index_buffers_count_rows_and_columns_apart():
    index = build("efficientvit_mini").official_state()["blocks1.0.mixer.m.attn.attention_bias_idxs"]
    assert index.shape == (16, 16)
    assert index[1, 14] == 3 * 4 + 1  # from row 0, column 1 to row 3, column 2


def test_weights_of_another_size_are_adapted_to_the_windows():
    network = build("efficientvit_m0", image_size=(64, 64))
    adapted = network.adapt_state(build("efficientvit_m0").state_dict())
    assert network.load_state_dict(adapted, strict=True)


def test_adapting_keeps_weights_of_the_same_size_exactly():
    state = build("efficientvit_mini").state_dict()
    adapted = build("efficientvit_mini").adapt_state(state)
    assert adapted.keys() == state.keys()
    assert all(torch.equal(adapted[key], state[key]) for key in state)


def test_index_buffers_of_old_checkpoints_are_left_out():
    index = "stages.0.blocks.0.mixer.m.attn.attention_bias_idxs"
    assert build("efficientvit_mini").adapt_state({index: torch.zeros(16, 16)}) == {}


def test_the_number_of_classes_can_be_chosen():
    assert build("efficientvit_mini", num_classes=3).eval().deploy()(pictures(2, 3, 32, 32)).shape == (2, 3)


def test_an_image_smaller_than_a_patch_is_refused():
    with pytest.raises(UsageError, match="8x224"):
        build("efficientvit_m0", image_size=(8, 224))


def test_an_unknown_variant_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError) as caught:
        build("efficientvit_m9")
    assert "efficientvit_m" in caught.value.hint
