"""EfficientFormer against timm, against the counts of its authors' code, and against its own fast form."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from edge.errors import UnknownNameError, UsageError
from edge.models import efficientformer
from edge.models.catalog import entry
from edge.models.efficientformer import VARIANTS, EfficientFormer
from edge.models.fold import require_no_batchnorm
from edge.models.randomise import randomise_statistics

PUBLISHED = tuple(name for name in VARIANTS if not name.endswith("mini"))
SIZES = {
    "efficientformer_l1": (181, 281, 12_258_008),
    "efficientformer_l3": (306, 457, 31_347_568),
    "efficientformer_l7": (446, 649, 82_139_952),
    "efficientformer_mini": (91, 137, 654_836),
}
"""Parameter tensors, entries of the state dict (ours and the authors'), parameters with batch norms folded."""
FLAT_INDEX = {"efficientformer_l1": 3, "efficientformer_l3": 2, "efficientformer_l7": 0}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def relative_l2(got: Tensor, wanted: Tensor) -> float:
    return float((got - wanted).norm() / wanted.norm())


def lively(seed: int = 0, image_size: tuple[int, int] = (32, 32)) -> EfficientFormer:
    torch.manual_seed(seed)
    network = efficientformer.build("efficientformer_mini", image_size=image_size).eval()
    randomise_statistics(network, seed)
    return network


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_has_the_published_sizes(name: str) -> None:
    row = entry(name)
    tensors, entries, folded_params = SIZES[name]
    with torch.device("meta"):
        network = efficientformer.build(name).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 3, row.input_size, row.input_size))
    folded = network.fold_batchnorm()
    assert count(network) == row.params
    assert len(list(network.parameters())) == tensors
    assert len(network.state_dict()) == len(network.official_state()) == entries
    assert counter.get_total_flops() // 2 == row.macs
    assert count(folded) == folded_params
    assert count(folded.average_heads()) == row.params_deploy


@pytest.mark.parametrize("name", PUBLISHED)
@torch.inference_mode()
def test_every_variant_computes_what_timm_computes(name: str) -> None:
    oracle = timm.create_model(name).eval()
    randomise_statistics(oracle, 1)
    network = efficientformer.build(name).eval()
    network.load_state_dict(oracle.state_dict(), strict=True)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    wanted = oracle(images)
    assert wanted.std() > 1e-2
    assert relative_l2(network(images), wanted) < 1e-5


def test_timm_loads_our_state_dict_strictly() -> None:
    network = efficientformer.build("efficientformer_l1")
    timm.create_model("efficientformer_l1").load_state_dict(network.state_dict(), strict=True)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_change_to_tokens_stands_where_the_authors_put_it(name: str) -> None:
    with torch.device("meta"):
        blocks = efficientformer.build(name).stages[3].blocks
    assert [type(block).__name__ for block in blocks].index("ToTokens") == FLAT_INDEX[name]


def test_the_official_names_are_those_of_the_authors() -> None:
    with torch.device("meta"):
        names = efficientformer.build("efficientformer_l1").official_names()
    assert {
        "stem.norm2.running_mean": "patch_embed.4.running_mean",
        "stages.0.blocks.2.mlp.fc1.weight": "network.0.2.mlp.fc1.weight",
        "stages.2.downsample.norm.bias": "network.3.norm.bias",
        "stages.3.downsample.conv.weight": "network.5.proj.weight",
        "stages.3.blocks.4.token_mixer.attention_biases": "network.6.4.token_mixer.attention_biases",
        "stages.3.blocks.4.ls1.gamma": "network.6.4.layer_scale_1",
        "stages.0.blocks.0.ls2.gamma": "network.0.0.layer_scale_2",
        "norm.weight": "norm.weight",
        "head.bias": "head.bias",
        "head_dist.weight": "dist_head.weight",
    }.items() <= names.items()
    assert len(set(names.values())) == len(names)


@pytest.mark.parametrize("seed", range(3))
@torch.inference_mode()
def test_the_fast_form_computes_the_same_for_several_images(seed: int) -> None:
    network = lively(seed)
    contrast = torch.tensor([0.3, 2, 9]).reshape(3, 1, 1, 1)  # noise alone makes all pictures look the same
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * contrast
    wanted = network(images)
    assert wanted.std(0).mean() > 1e-3
    assert wanted.std() > 1e-2
    assert relative_l2(network.deploy()(images), wanted) < 1e-5


@torch.inference_mode()
def test_the_fast_form_is_exact_at_the_borders_of_every_map() -> None:
    network = lively(image_size=(64, 64))
    maps = network.stem(torch.randn(1, 3, 64, 64))
    fast_stem, fast_block = network.deploy()[:2]
    wanted = network.stages[0](maps)
    got = fast_block(maps)
    border = torch.ones(wanted.shape[-2:], dtype=torch.bool)
    border[1:-1, 1:-1] = False
    assert relative_l2(got[..., border], wanted[..., border]) < 1e-5
    assert len(fast_stem) == 4


@torch.inference_mode()
def test_folding_alone_and_averaging_alone_change_no_output() -> None:
    network = lively()
    images = torch.randn(2, 3, 32, 32)
    wanted = network(images)
    assert relative_l2(network.fold_batchnorm()(images), wanted) < 1e-5
    assert relative_l2(network.average_heads()(images), wanted) < 1e-5


def test_the_fast_form_has_no_batch_norm_and_leaves_the_network_as_it_was() -> None:
    network = lively()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    require_no_batchnorm(network.deploy())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


@torch.inference_mode()
def test_weights_loaded_after_an_evaluation_change_the_attention() -> None:
    network, other = lively(0), lively(0)
    images = torch.randn(1, 3, 32, 32)
    first = network(images)
    other.stages[3].blocks[2].token_mixer.attention_biases.mul_(-3)
    network.load_state_dict(other.state_dict())
    assert relative_l2(network(images), first) > 1e-4
    assert torch.equal(network(images), other(images))


def test_training_answers_with_both_heads() -> None:
    network = lively().train()
    labels, teacher = network(torch.randn(2, 3, 32, 32))
    assert labels.shape == teacher.shape == (2, 10)
    assert not torch.allclose(labels, teacher)


@pytest.mark.parametrize("size", [(64, 64), (32, 96), (40, 50)])
@torch.inference_mode()
def test_other_image_sizes_work_with_weights_of_the_first(size: tuple[int, int]) -> None:
    network = efficientformer.build("efficientformer_mini", image_size=size).eval()
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
    network = efficientformer.build("efficientformer_mini", num_classes=3).eval()
    assert network(torch.randn(1, 3, 32, 32)).shape == (1, 3)


def test_an_image_smaller_than_a_place_of_the_last_stage_is_refused() -> None:
    with pytest.raises(UsageError, match="16x32 is too small"):
        efficientformer.build("efficientformer_l1", image_size=(16, 32))


def test_a_name_of_another_family_is_refused() -> None:
    with pytest.raises(UnknownNameError):
        efficientformer.build("efficientvit_m0")


def test_drop_path_leaves_whole_images_out_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    dropped = efficientformer.DropPath(0.25).train()(torch.ones(4000, 2, 1, 1))
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert dropped.mean() == pytest.approx(1, abs=0.05)
