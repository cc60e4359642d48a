"""Every merge computes the same function as the layers it replaces, and leaves those as they were."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.errors import ConversionError, WeightsError
from edge.models import fold
from edge.models.layers import ConvNorm, resize_bias_table

TOLERANCE = 1e-6
"""Relative L2 in float32; the merges themselves are computed in float64 (measured: up to 4e-7)."""


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def random_statistics(bn: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.BatchNorm1d | nn.BatchNorm2d:
    for tensor in (bn.weight, bn.running_var):
        nn.init.uniform_(tensor, 0.5, 1.5)
    for tensor in (bn.bias, bn.running_mean):
        nn.init.normal_(tensor, std=0.1)
    return bn.eval()


def assert_same(actual: Tensor, expected: Tensor) -> None:
    assert expected.std() > 1e-2
    assert (actual - expected).norm() / expected.norm() <= TOLERANCE


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("groups", "stride", "padding"), [(1, 1, 0), (1, 2, 1), (8, 1, 1), (2, 2, 1)])
def test_a_convolution_takes_in_its_batch_norm(bias, groups, stride, padding):
    conv = nn.Conv2d(8, 8, 3, stride, padding, groups=groups, bias=bias)
    bn = random_statistics(nn.BatchNorm2d(8))
    x = torch.randn(2, 8, 9, 9)
    assert_same(fold.fold_conv_bn(conv, bn)(x), bn(conv(x)))


def test_a_linear_layer_takes_in_the_batch_norm_after_it():
    linear, bn = nn.Linear(12, 7, bias=False), random_statistics(nn.BatchNorm1d(7))
    x = torch.randn(5, 12)
    assert_same(fold.fold_linear_bn(linear, bn)(x), bn(linear(x)))


def test_a_linear_layer_takes_in_the_batch_norm_before_it():
    bn, linear = random_statistics(nn.BatchNorm1d(12)), nn.Linear(12, 7)
    x = torch.randn(5, 12)
    assert_same(fold.fold_bn_linear(bn, linear)(x), linear(bn(x)))


def test_a_batch_norm_before_a_spatial_mean_folds_into_the_head():
    bn, head = random_statistics(nn.BatchNorm2d(12)), nn.Linear(12, 7)
    x = torch.randn(3, 12, 4, 4)
    assert_same(fold.fold_bn_linear(bn, head)(x.mean((2, 3))), head(bn(x).mean((2, 3))))


def test_a_batch_norm_without_affine_parameters_folds():
    conv, bn = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, affine=False).eval()
    nn.init.uniform_(bn.running_var, 0.5, 1.5)
    x = torch.randn(2, 4, 5, 5)
    assert_same(fold.fold_conv_bn(conv, bn)(x), bn(conv(x)))


def test_the_epsilon_of_a_batch_norm_is_folded_too():
    conv, bn = nn.Conv2d(4, 4, 1), random_statistics(nn.BatchNorm2d(4, eps=1e-2))
    nn.init.constant_(bn.running_var, 1e-3)
    x = torch.randn(2, 4, 5, 5)
    assert_same(fold.fold_conv_bn(conv, bn)(x), bn(conv(x)))


def test_a_linear_layer_takes_in_the_affine_part_of_a_layer_norm():
    norm, linear = nn.LayerNorm(12), nn.Linear(12, 7)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 6, 12)
    bare, merged = fold.fold_layer_norm_affine(norm, linear)
    assert_same(merged(bare(x)), linear(norm(x)))


def test_the_layer_norm_that_remains_has_no_parameters():
    bare, _ = fold.fold_layer_norm_affine(nn.LayerNorm(12), nn.Linear(12, 7))
    assert not list(bare.parameters())


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(1, 1, 0), (4, 4, 0), (3, 2, 1)])
def test_a_pointwise_convolution_merges_into_the_one_before_it(kernel, stride, padding):
    conv, pointwise = nn.Conv2d(5, 6, kernel, stride, padding), nn.Conv2d(6, 9, 1)
    x = torch.randn(2, 5, 8, 8)
    assert_same(fold.merge_pointwise(conv, pointwise)(x), pointwise(conv(x)))


@pytest.mark.parametrize("second", [nn.Conv2d(6, 6, 3), nn.Conv2d(6, 6, 1, 2), nn.Conv2d(6, 6, 1, groups=2)])
def test_only_a_dense_pointwise_convolution_merges_into_the_one_before_it(second):
    with pytest.raises(ConversionError):
        fold.merge_pointwise(nn.Conv2d(5, 6, 1), second)


@pytest.mark.parametrize("bias", [False, True])
def test_a_scale_per_channel_moves_into_a_convolution(bias):
    conv, scale, x = nn.Conv2d(4, 6, 3, bias=bias), torch.rand(6) + 0.1, torch.randn(2, 4, 5, 5)
    assert_same(fold.scale_outputs(conv, scale)(x), conv(x) * scale[:, None, None])


def test_one_scale_for_all_channels_moves_into_a_linear_layer():
    linear, x = nn.Linear(4, 6), torch.randn(3, 4)
    assert_same(fold.scale_outputs(linear, torch.tensor(0.25))(x), linear(x) * 0.25)


def test_two_heads_become_their_mean():
    a, b, x = nn.Linear(9, 5), nn.Linear(9, 5), torch.randn(4, 9)
    assert_same(fold.average(a, b)(x), (a(x) + b(x)) / 2)


@pytest.mark.parametrize("kernel", [3, 5])
def test_a_residual_depthwise_convolution_becomes_one_convolution(kernel):
    conv, x = nn.Conv2d(6, 6, kernel, padding=kernel // 2, groups=6), torch.randn(2, 6, 7, 7)
    assert_same(fold.add_identity(conv)(x), x + conv(x))


@pytest.mark.parametrize("size", [6, 7])
def test_a_strided_residual_depthwise_convolution_becomes_one_convolution(size):
    conv, x = nn.Conv2d(6, 6, 3, 2, 1, groups=6), torch.randn(2, 6, size, size)
    assert_same(fold.add_identity(conv)(x), x[:, :, ::2, ::2] + conv(x))


@pytest.mark.parametrize(
    "conv", [nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 6, 2, padding=1, groups=6)]
)
def test_an_identity_needs_a_centred_depthwise_convolution(conv):
    with pytest.raises(ConversionError):
        fold.add_identity(conv)


def test_folding_leaves_the_layers_it_reads_unchanged():
    conv, bn = nn.Conv2d(4, 4, 3), random_statistics(nn.BatchNorm2d(4))
    before = copy.deepcopy((conv.state_dict(), bn.state_dict()))
    fold.scale_outputs(fold.fold_conv_bn(conv, bn), torch.rand(4))
    after = (conv.state_dict(), bn.state_dict())
    assert all(torch.equal(a[key], b[key]) for a, b in zip(before, after, strict=True) for key in a)


def test_a_merged_layer_shares_no_memory_with_its_parts():
    conv = nn.Conv2d(4, 4, 3, padding=1, groups=4).double()
    merged = fold.add_identity(conv)
    assert {p.data_ptr() for p in merged.parameters()}.isdisjoint(p.data_ptr() for p in conv.parameters())


def test_a_batch_norm_left_behind_is_named():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ModuleDict({"late": nn.BatchNorm2d(4)}))
    with pytest.raises(ConversionError, match=r"1\.late"):
        fold.require_no_batchnorm(network)


def test_a_folded_network_has_no_batch_norm_left():
    fold.require_no_batchnorm(nn.Sequential(ConvNorm(3, 4, 3).fold(), nn.ReLU()))


def test_a_batch_norm_without_running_statistics_is_refused():
    with pytest.raises(ConversionError):
        fold.fold_conv_bn(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False))


def test_a_bias_table_of_the_right_size_is_kept_exactly():
    table = torch.randn(3, 49)
    assert torch.equal(resize_bias_table(table, (7, 7)), table)


@pytest.mark.parametrize("resolution", [(4, 4), (10, 10), (5, 9)])
def test_a_bias_table_is_resized_like_a_bicubic_picture(resolution):
    table = torch.randn(3, 49)
    picture = F.interpolate(table.reshape(1, 3, 7, 7), size=resolution, mode="bicubic", align_corners=False)
    assert torch.equal(resize_bias_table(table, resolution), picture.reshape(3, -1))


def test_a_bias_table_that_is_not_square_cannot_be_resized():
    with pytest.raises(WeightsError):
        resize_bias_table(torch.randn(3, 50), (7, 7))
