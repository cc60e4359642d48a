"""EfficientFormerV2 against timm, against the counts of its authors' code, and against its own fast form."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from edge.errors import UnknownNameError, UsageError
from edge.models import efficientformer_v2
from edge.models.catalog import entry
from edge.models.efficientformer_v2 import VARIANTS, EfficientFormerV2
from edge.models.fold import require_no_batchnorm
from edge.models.randomise import randomise_statistics

PUBLISHED = tuple(name for name in VARIANTS if not name.endswith("mini"))
SIZES = {
    "efficientformerv2_s0": (343, 568, 573, 3_550_944),
    "efficientformerv2_s1": (434, 722, 727, 6_114_648),
    "efficientformerv2_s2": (637, 1054, 1063, 12_588_320),
    "efficientformerv2_l": (840, 1386, 1399, 26_125_864),
    "efficientformerv2_mini": (183, 303, 306, 370_644),
}
"""Parameter tensors, entries of our state dict and of the authors', parameters with batch norms folded."""


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def relative_l2(got: Tensor, wanted: Tensor) -> float:
    return float((got - wanted).norm() / wanted.norm())


def lively(seed: int = 0, image_size: tuple[int, int] = (32, 32)) -> EfficientFormerV2:
    torch.manual_seed(seed)
    network = efficientformer_v2.build("efficientformerv2_mini", image_size=image_size).eval()
    randomise_statistics(network, seed)
    return network


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_has_the_published_sizes(name: str) -> None:
    row = entry(name)
    tensors, entries, official_entries, folded_params = SIZES[name]
    with torch.device("meta"):
        network = efficientformer_v2.build(name).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 3, row.input_size, row.input_size))
    folded = network.fold_batchnorm()
    assert count(network) == row.params
    assert len(list(network.parameters())) == tensors
    assert len(network.state_dict()) == entries
    assert len(network.official_state()) == official_entries
    assert counter.get_total_flops() // 2 == row.macs
    assert count(folded) == folded_params
    assert count(folded.average_heads()) == row.params_deploy


@pytest.mark.parametrize("name", PUBLISHED)
@torch.inference_mode()
def test_every_variant_computes_what_timm_computes(name: str) -> None:
    oracle = timm.create_model(name).eval()
    randomise_statistics(oracle, 1)
    network = efficientformer_v2.build(name).eval()
    network.load_state_dict(oracle.state_dict(), strict=True)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    wanted = oracle(images)
    assert wanted.std() > 1e-2
    assert relative_l2(network(images), wanted) < 1e-5


def test_timm_loads_our_state_dict_strictly() -> None:
    network = efficientformer_v2.build("efficientformerv2_s0")
    timm.create_model("efficientformerv2_s0").load_state_dict(network.state_dict(), strict=True)


def test_the_official_names_are_those_of_the_authors() -> None:
    with torch.device("meta"):
        names = efficientformer_v2.build("efficientformerv2_s0").official_names()
    assert {
        "stem.conv2.bn.weight": "patch_embed.4.weight",
        "stages.0.blocks.1.mlp.fc1.conv.weight": "network.0.1.mlp.fc1.weight",
        "stages.0.blocks.1.mlp.fc1.bn.weight": "network.0.1.mlp.norm1.weight",
        "stages.1.downsample.conv.conv.weight": "network.1.proj.weight",
        "stages.2.downsample.conv.bn.bias": "network.3.norm.bias",
        "stages.2.blocks.4.token_mixer.stride_conv.conv.weight": "network.4.4.token_mixer.stride_conv.0.weight",
        "stages.2.blocks.4.token_mixer.talking_head1.weight": "network.4.4.token_mixer.talking_head1.weight",
        "stages.3.downsample.conv.conv.weight": "network.5.conv.weight",
        "stages.3.downsample.conv.bn.weight": "network.5.bn.weight",
        "stages.3.downsample.attn.q.local.weight": "network.5.attn.q.local.0.weight",
        "stages.3.downsample.attn.q.proj.bn.weight": "network.5.attn.q.proj.1.weight",
        "stages.3.downsample.attn.v_local.conv.bias": "network.5.attn.v_local.0.bias",
        "stages.3.downsample.attn.proj.conv.weight": "network.5.attn.proj.1.weight",
        "stages.3.blocks.3.token_mixer.proj.bn.weight": "network.6.3.token_mixer.proj.2.weight",
        "stages.3.blocks.3.mlp.mid.bn.weight": "network.6.3.mlp.mid_norm.weight",
        "stages.3.blocks.3.ls1.gamma": "network.6.3.layer_scale_1",
        "head_dist.weight": "dist_head.weight",
    }.items() <= names.items()
    assert len(set(names.values())) == len(names)


def test_the_official_state_has_the_authors_shapes_and_index_buffers() -> None:
    state = lively().official_state()
    assert state["network.6.1.layer_scale_1"].shape == (96, 1, 1)
    assert state["network.5.attn.attention_bias_idxs"].shape == (4, 16)
    assert state["network.6.1.token_mixer.attention_bias_idxs"].tolist()[1] == [1, 0, 3, 2]


@pytest.mark.parametrize("seed", range(3))
@torch.inference_mode()
def test_the_fast_form_computes_the_same_for_several_images(seed: int) -> None:
    network = lively(seed, (64, 64))
    contrast = torch.tensor([0.3, 2, 9]).reshape(3, 1, 1, 1)  # noise alone makes all pictures look the same
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) * contrast
    wanted = network(images)
    assert wanted.std(0).mean() > 1e-3
    assert wanted.std() > 1e-2
    assert relative_l2(network.deploy()(images), wanted) < 1e-5


@torch.inference_mode()
def test_the_fast_form_is_exact_at_the_borders_of_every_stage() -> None:
    network = lively(image_size=(64, 64))
    maps = network.stem(torch.randn(1, 3, 64, 64))
    for stage, fast_stage in zip(network.stages, network.deploy()[1:5], strict=True):
        wanted = stage(maps)
        got = fast_stage(maps)
        border = torch.ones(wanted.shape[-2:], dtype=torch.bool)
        border[1:-1, 1:-1] = False
        assert relative_l2(got[..., border], wanted[..., border]) < 1e-5
        maps = wanted


@torch.inference_mode()
def test_folding_alone_and_averaging_alone_change_no_output() -> None:
    network = lively()
    images = torch.randn(2, 3, 32, 32)
    wanted = network(images)
    assert relative_l2(network.fold_batchnorm()(images), wanted) < 1e-5
    assert relative_l2(network.average_heads()(images), wanted) < 1e-5


@torch.inference_mode()
def test_the_fast_form_of_a_network_with_one_head_computes_the_same() -> None:
    network = lively().average_heads()
    images = torch.randn(2, 3, 32, 32)
    assert relative_l2(network.deploy()(images), network(images)) < 1e-5


def test_the_fast_form_has_no_batch_norm_and_leaves_the_network_as_it_was() -> None:
    network = lively()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    fast = network.deploy()
    require_no_batchnorm(fast)
    for parameter in fast.parameters():
        parameter.data.zero_()
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


@torch.inference_mode()
def test_weights_loaded_after_an_evaluation_change_the_attention() -> None:
    network, other = lively(0), lively(0)
    images = torch.randn(1, 3, 32, 32)
    first = network(images)
    other.stages[3].blocks[1].token_mixer.attention_biases.mul_(-3)
    network.load_state_dict(other.state_dict())
    assert relative_l2(network(images), first) > 1e-4
    assert torch.equal(network(images), other(images))


def test_training_answers_with_both_heads() -> None:
    network = lively().train()
    labels, teacher = network(torch.randn(2, 3, 32, 32))
    assert labels.shape == teacher.shape == (2, 10)
    assert not torch.allclose(labels, teacher)


@pytest.mark.parametrize("size", [(64, 64), (32, 96), (62, 48)])
@torch.inference_mode()
def test_other_image_sizes_work_with_weights_of_the_first(size: tuple[int, int]) -> None:
    network = efficientformer_v2.build("efficientformerv2_mini", image_size=size).eval()
    network.load_state_dict(network.adapt_state(lively().state_dict()), strict=True)
    images = torch.randn(2, 3, *size)
    wanted = network(images)
    assert wanted.shape == (2, 10)
    assert relative_l2(network.deploy()(images), wanted) < 1e-5


def test_weights_of_the_same_size_are_left_as_they_are() -> None:
    state = lively().state_dict()
    adapted = lively(1).adapt_state(state)
    assert all(torch.equal(adapted[key], value) for key, value in state.items())


def test_the_number_of_classes_is_free() -> None:
    network = efficientformer_v2.build("efficientformerv2_mini", num_classes=3).eval()
    assert network(torch.randn(1, 3, 32, 32)).shape == (1, 3)


@pytest.mark.parametrize("size", [(240, 224), (224, 208)])
def test_a_third_stage_of_odd_sides_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="needs even sides") as refusal:
        efficientformer_v2.build("efficientformerv2_s0", image_size=size)
    assert "multiples of 32" in refusal.value.hint


def test_an_image_smaller_than_a_place_of_the_last_stage_is_refused() -> None:
    with pytest.raises(UsageError, match="16x32 is too small"):
        efficientformer_v2.build("efficientformerv2_s0", image_size=(16, 32))


def test_a_name_of_another_family_is_refused() -> None:
    with pytest.raises(UnknownNameError):
        efficientformer_v2.build("efficientformer_l1")
