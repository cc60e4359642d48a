"""M3ViT computes what a vision transformer with experts should, in every form, and has the sizes of the moe_fpga sheet."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from edge.errors import UnknownNameError, UsageError, WeightsError
from edge.models.catalog import CATALOG, entry
from edge.models.m3vit import M3ViT, build, resize_positions
from edge.models.m3vit_config import (
    CHANNELS,
    VARIANTS,
    M3ViTConfig,
    MoEConfig,
    RouterKind,
    ScoreRule,
    backbone_macs,
    grid_of,
    head_macs,
)
from edge.models.m3vit_heads import MapHead
from edge.models.network import picture
from edge.models.randomise import randomise_statistics
from edge.models.settle import settle_statistics
from edge.models.weights import load_weights

ROWS = [row.name for row in CATALOG if row.family == "m3vit"]
MINI = VARIANTS["m3vit_mini"]
SIZE = (48, 32)
TWO = {"seg": 5, "depth": 1}


def randomised(config: M3ViTConfig = MINI, tasks: dict[str, int] = TWO, seed: int = 0) -> M3ViT:
    """In double precision, so that no two forms route a token differently by rounding; positions and class token matter."""
    torch.manual_seed(seed)
    network = M3ViT(config, tasks, SIZE).eval()
    randomise_statistics(network, seed)
    for parameter in (network.cls_token, network.pos_embed):
        nn.init.normal_(parameter, std=0.5)
    settle_statistics(network, picture(SIZE), seed)
    return network.double()


def pictures(count: int = 1, size: tuple[int, int] = SIZE, seed: int = 7) -> Tensor:
    return torch.randn(count, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_same(actual: Tensor, expected: Tensor) -> None:
    assert expected.std() > 1e-2
    torch.testing.assert_close(actual, expected, atol=1e-11, rtol=1e-11)


def conditioned(config: M3ViTConfig = MINI) -> M3ViTConfig:
    return replace(config, moe=replace(config.moe, router=RouterKind.TASK_CONDITIONED, task_width=8))


ROUTERS = [MINI, conditioned(), replace(MINI, moe=replace(MINI.moe, rule=ScoreRule.TOP_K_FIRST))]
ROUTER_NAMES = ["multi-gate", "conditioned", "top-k-first"]


@torch.no_grad()
def test_with_one_wide_expert_it_is_the_vision_transformer_of_timm():
    """The only expert gets every token with score 1, so an odd block is a dense one."""
    config = M3ViTConfig(48, 3, MoEConfig(experts=1, top_k=1, hidden_ratio=4), depth=4, decoder_width=8)
    network = randomised(config, {"depth": 1})
    oracle = timm.models.vision_transformer.VisionTransformer(
        SIZE, 16, embed_dim=48, depth=4, num_heads=3, num_classes=0, norm_layer=partial(nn.LayerNorm, eps=1e-6)
    ).double()
    oracle.norm = nn.Identity()  # ours is in the head
    backbone = {
        key.replace("mlp.experts.0.", "mlp."): value
        for key, value in network.state_dict().items()
        if not key.startswith("heads.") and ".router." not in key
    }
    oracle.load_state_dict(backbone, strict=True)
    assert_same(network.features(pictures(2), "depth")[0], oracle.eval().forward_features(pictures(2)))


@torch.no_grad()
def test_tasks_with_the_same_gates_have_the_same_features():
    network = randomised()
    assert not torch.equal(network.features(pictures(), "seg")[0], network.features(pictures(), "depth")[0])
    for index in MINI.moe_blocks:
        gates = network.blocks[index].mlp.router.gates
        gates["depth"].load_state_dict(gates["seg"].state_dict())
    assert torch.equal(network.features(pictures(), "seg")[0], network.features(pictures(), "depth")[0])


@torch.no_grad()
def test_without_a_task_every_task_answers_by_name():
    network = randomised()
    answers = network(pictures(2))
    assert {task: tuple(answer.shape) for task, answer in answers.items()} == {
        "seg": (2, 5, *SIZE),
        "depth": (2, 1, *SIZE),
    }
    for task, answer in answers.items():
        assert torch.equal(network(pictures(2), task=task), answer)


@torch.no_grad()
def test_pictures_of_a_batch_do_not_meet():
    network = randomised()
    together = network(pictures(3), task="seg")
    apart = torch.cat([network(one, task="seg") for one in pictures(3).split(1)])
    assert_same(together, apart)


@pytest.mark.parametrize("config", ROUTERS, ids=ROUTER_NAMES)
@torch.no_grad()
def test_the_deployed_form_answers_as_the_network_does(config):
    network = randomised(config)
    deployed = network.deploy()(pictures())
    for task, answer in network(pictures()).items():
        assert_same(deployed[task], answer)


def test_a_deployed_network_is_its_own_deployed_form():
    deployed = randomised().deploy()
    assert deployed.deploy() is deployed


@pytest.mark.parametrize("config", ROUTERS, ids=ROUTER_NAMES)
@torch.no_grad()
def test_a_pathway_answers_its_task_as_the_whole_does(config):
    network = randomised(config)
    alone = network.pathway("depth")
    assert alone.tasks == ("depth",)
    assert torch.equal(alone(pictures(), task="depth"), network(pictures(), task="depth"))
    assert_same(alone.deploy()(pictures())["depth"], network(pictures(), task="depth"))
    assert network.tasks == ("seg", "depth")


@torch.no_grad()
def test_a_network_of_one_task_loads_the_weights_of_the_whole():
    network, alone = randomised(), M3ViT(MINI, {"depth": 1}, SIZE).double().eval()
    load_weights(alone, network.state_dict())
    assert torch.equal(alone(pictures(), task="depth"), network(pictures(), task="depth"))


def test_the_whole_does_not_load_the_weights_of_one_task():
    with pytest.raises(WeightsError):
        load_weights(M3ViT(MINI, TWO, SIZE), randomised(tasks={"depth": 1}).state_dict())


@torch.no_grad()
def test_with_the_experts_of_its_pictures_alone_a_pathway_answers_them_the_same():
    network = randomised(replace(MINI, moe=replace(MINI.moe, experts=16))).pathway("seg")
    pruned = network.deploy_with_experts_of(pictures())
    assert all(2 <= len(kept) < 16 for kept in pruned.kept_experts)
    assert [set(kept) for kept in pruned.kept_experts] == [
        set(chosen.flatten().tolist()) for chosen in network.trace(pictures(), "seg")
    ]
    assert_same(pruned(pictures())["seg"], network(pictures(), task="seg"))
    others = pictures(8, seed=8)
    assert not torch.allclose(pruned(others)["seg"], network(others, task="seg"))


@torch.no_grad()
def test_the_trace_tells_where_each_layer_sent_each_token():
    network = randomised()
    trace = network.trace(pictures(), "seg")
    assert [tuple(chosen.shape) for chosen in trace] == [(7, 2)] * 2
    first = network.blocks[1]
    seen = network.blocks[0](network._embedded(pictures()), network._asked("seg")).tokens
    seen = first.norm2(seen + first.attn(first.norm1(seen)))
    assert torch.equal(trace[0], first.mlp.router.gates["seg"].choose(seen[0]).topk(2).indices)


@torch.no_grad()
def test_a_head_draws_each_patch_in_its_place_and_the_class_token_nowhere():
    torch.manual_seed(0)
    head = MapHead(8, 16, 1, (3, 4)).eval()
    for each in head.convs:
        nn.init.dirac_(each.conv.weight)  # hands its places on, so that only the doubling spreads them
    tokens = torch.randn(1, 13, 8)
    drawn = head(tokens)
    for index in range(13):
        changed = tokens.clone()
        changed[:, index] = torch.randn(8)
        per_patch = (head(changed) - drawn).abs().unfold(2, 16, 16).unfold(3, 16, 16).sum((0, 1, 4, 5)).flatten()
        assert per_patch.argmax() == index - 1 if index else not per_patch.any()


def test_gradients_reach_every_parameter_of_the_task_and_no_other():
    network = randomised(replace(MINI, moe=replace(MINI.moe, experts=2, top_k=2))).train()
    network(pictures(2), task="seg").square().mean().backward()
    without = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    assert without == {name for name, _ in network.named_parameters() if "depth" in name}


def counted_macs(network: M3ViT, task: str) -> int:
    image = torch.zeros(1, 3, *network.image_size)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(image, task)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    "config",
    [
        MINI,
        replace(MINI, depth=3, width=32, heads=2, decoder_width=8),
        replace(MINI, moe=MoEConfig(experts=16, top_k=4)),
        VARIANTS["m3vit_tiny"],
    ],
)
def test_the_formula_counts_the_multiplications_that_happen(config):
    torch.manual_seed(0)
    network = M3ViT(config, TWO, (32, 48)).eval()
    for task, channels in TWO.items():
        assert counted_macs(network, task) == backbone_macs(config, (32, 48)) + head_macs(config, (32, 48), channels)


def test_a_conditioned_gate_multiplies_its_task_too_once_per_token_and_embeds_it_once():
    config = conditioned()
    network = M3ViT(config, TWO, SIZE).eval()
    embedding = 2 * 8 + 8 * 8
    assert counted_macs(network, "seg") == backbone_macs(config, SIZE) + head_macs(config, SIZE, 5) + embedding


SHEET = [  # §1.5: variant, picture, tokens, then billions of MACs: backbone, one head, both
    ("m3vit_small", (512, 512), 1025, 31.79, 51.64, 83.43),
    ("m3vit_small", (480, 640), 1201, 39.19, 60.52, 99.71),
    ("m3vit_base", (480, 640), 1201, 129.39, 61.58, 190.97),
    ("m3vit_tiny", (128, 256), 129, 0.78, 6.40, 7.18),
]


@pytest.mark.parametrize(("variant", "size", "tokens", "backbone", "head", "both"), SHEET)
def test_multiplications_are_those_of_the_sheet(variant, size, tokens, backbone, head, both):
    config = VARIANTS[variant]
    classifier = config.decoder_width * 64 * math.prod(grid_of(size))  # per channel; the sheet counts none of them
    assert 1 + math.prod(grid_of(size)) == tokens
    assert backbone_macs(config, size) / 1e9 == pytest.approx(backbone, abs=0.005)
    assert (head_macs(config, size, 1) - classifier) / 1e9 == pytest.approx(head, abs=0.005)
    assert (backbone_macs(config, size) + head_macs(config, size, 1)) / 1e9 == pytest.approx(both, rel=1e-3)


@pytest.mark.parametrize("name", ROWS)
def test_multiplications_are_those_of_the_catalog(name):
    row = entry(name)
    with torch.device("meta"):
        network = build(name)
    config, size = network.config, row.image_size
    heads = sum(head_macs(config, size, head.classifier.out_channels) for head in network.heads.values())
    assert len(network.tasks) * backbone_macs(config, size) + heads == row.macs


@pytest.mark.parametrize("name", ROWS)
def test_parameters_are_those_of_the_catalog(name):
    with torch.device("meta"):
        network = build(name)
    assert parameters(network) == entry(name).params
    assert parameters(network.deploy()) == entry(name).params_deploy


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_every_variant_has_its_rows_in_the_catalog():
    assert set(ROWS) == {
        name for variant in VARIANTS for name in (variant, *(f"{variant}_{task}" for task in CHANNELS))
    }


@pytest.mark.parametrize("name", ROWS)
def test_the_catalog_gives_the_channels_of_a_row(name):
    with torch.device("meta"):
        network = build(name)
    channels = [head.classifier.out_channels for head in network.heads.values()]
    assert channels[0] == entry(name).num_classes
    assert channels[1:] == ([] if len(channels) == 1 else [1, 3, 1, 1])


def test_classes_and_picture_size_can_be_chosen():
    network = build("m3vit_mini", num_classes=9, image_size=(32, 80))
    assert (network.heads["seg"].classifier.out_channels, network.heads["depth"].classifier.out_channels) == (9, 1)
    assert network(torch.zeros(1, 3, 32, 80), task="seg").shape == (1, 9, 32, 80)


def test_the_odd_blocks_hold_the_experts():
    assert VARIANTS["m3vit_small"].moe_blocks == (1, 3, 5, 7, 9, 11)
    assert [type(block).__name__ for block in randomised().blocks] == ["DenseBlock", "MoEBlock"] * 2


def test_positions_of_a_square_move_to_another_map():
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 6), torch.linspace(0, 1, 6), indexing="ij")
    table = torch.cat((torch.full((1, 1, 2), 9.0), torch.stack((rows, columns), -1).reshape(1, 36, 2)), dim=1)
    moved = resize_positions(table, (3, 4))
    assert moved.shape == (1, 13, 2)
    assert moved[0, 0].tolist() == [9, 9]
    places = moved[0, 1:].reshape(3, 4, 2)
    assert torch.allclose(places[:, :, 0], places[:, :1, 0].expand(3, 4), atol=1e-5)  # rows differ downwards alone
    assert (places[1:, :, 0] > places[:-1, :, 0] + 0.1).all()
    assert (places[:, 1:, 1] > places[:, :-1, 1] + 0.1).all()


def test_positions_of_no_square_stay_where_they_are():
    table = torch.rand(1, 1 + 12, 2)
    assert resize_positions(table, (3, 4)) is table
    with pytest.raises(WeightsError, match="12 places cannot be resized to 2x2"):
        resize_positions(table, (2, 2))


@torch.no_grad()
def test_weights_of_another_picture_size_are_adapted():
    small, large = M3ViT(MINI, TWO, (32, 32)), M3ViT(MINI, TWO, (64, 48)).eval()
    load_weights(large, small.state_dict())
    assert torch.equal(large.pos_embed[:, 0], small.pos_embed[:, 0])


def test_a_task_of_another_network_is_refused():
    with pytest.raises(UnknownNameError, match="no task of this network named 'normals'"):
        randomised()(pictures(), task="normals")
    with pytest.raises(UnknownNameError):
        randomised().pathway("edges")


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(UsageError, match="32x48 pixels for a network of 48x32"):
        randomised()(pictures(size=(32, 48)), task="seg")


@pytest.mark.parametrize("size", [(64, 72), (0, 16), (8, 8)])
def test_pictures_of_no_whole_patches_are_refused(size):
    with pytest.raises(UsageError, match="cannot take pictures of") as caught:
        build("m3vit_mini", image_size=size)
    assert "16 pixels" in caught.value.hint


def test_classes_of_a_task_without_any_are_refused():
    with pytest.raises(UsageError, match="answers with 1 channels, not 4"):
        build("m3vit_mini_depth", num_classes=4)


def test_attention_heads_share_the_width_evenly_or_not_at_all():
    with pytest.raises(UsageError, match="5 attention heads cannot share 48"):
        M3ViTConfig(48, 5, MoEConfig())
