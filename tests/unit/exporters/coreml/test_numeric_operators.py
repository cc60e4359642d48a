"""Arithmetic, layers and random numbers against torch's own, where the meaning is easy to get wrong."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edge.errors import BadArtifactError
from exporters.coreml.runtime.ops import OPERATORS

SEQUENCE, BATCH, GIVEN, HIDDEN = 5, 3, 4, 2


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


def run(name, **operands):
    return OPERATORS[name].compute(**operands)


def gates(rows, order):
    """Rows of a recurrent weight or bias, which torch keeps gate after gate, in the order that Core ML wants."""
    parts = rows.detach().chunk(len(order))
    return torch.cat([parts[index] for index in order])


def as_both_directions(value):
    """Torch's (2, B, H) as (B, 2H)."""
    return torch.cat(tuple(value), -1).detach()


@pytest.mark.parametrize("name", ["inverse", "log", "rsqrt"])
def test_an_absent_epsilon_still_counts(name):
    zero = run(name, x=torch.tensor(0.0))
    assert math.isfinite(zero)


def test_integers_divide_as_integers():
    assert run("real_div", x=torch.tensor([7, -7]), y=torch.tensor(2)).tolist() == [3, -4]


def test_the_remainder_has_the_sign_of_the_divisor():
    assert run("mod", x=torch.tensor([7, -7]), y=torch.tensor(-3)).tolist() == [-2, -1]


def test_halves_are_rounded_to_the_even_neighbour():
    assert run("round", x=torch.tensor([0.5, 1.5, 2.5])).tolist() == [0, 2, 2]


def test_a_thresholded_relu_keeps_the_threshold_itself():
    assert run("thresholded_relu", x=torch.tensor([0.9, 1.0, 1.1]), alpha=torch.tensor(1.0)).tolist() == [
        0.0, 1.0, pytest.approx(1.1),
    ]  # fmt: skip


def test_a_mean_of_integers_stays_an_integer():
    mean = run("reduce_mean", x=torch.tensor([1, 2, 4], dtype=torch.int32))
    assert (mean.dtype, mean.item()) == (torch.int32, 2)


def test_the_logarithm_of_a_sum_of_large_powers_is_finite():
    assert run("reduce_log_sum_exp", x=torch.tensor([1000.0, 1000.0])).item() == pytest.approx(1000 + math.log(2))


def test_layer_norm_takes_axes_in_the_middle():
    x, gamma, beta = torch.randn(2, 6, 4, 4), torch.randn(6), torch.randn(6)
    expected = F.layer_norm(x.movedim(1, -1), (6,), gamma, beta).movedim(-1, 1)
    found = run("layer_norm", x=x, axes=torch.tensor([1]), gamma=gamma, beta=beta)
    torch.testing.assert_close(found, expected)


def test_instance_norm_of_one_pixel_is_beta():
    x, gamma, beta = torch.randn(1, 3, 1, 1), torch.randn(3), torch.randn(3)
    torch.testing.assert_close(run("instance_norm", x=x, gamma=gamma, beta=beta).flatten(), beta)


@pytest.mark.parametrize("pad", [(0, 0, 0, 0), (1, 0, 2, 1)])
def test_a_transposed_convolution_is_cut_at_both_ends(pad):
    x, weight, bias = torch.randn(1, 4, 5, 6), torch.randn(4, 3, 3, 4), torch.randn(3)
    full = F.conv_transpose2d(x, weight, bias, 2)
    found = run(
        "conv_transpose", x=x, weight=weight, bias=bias, pad=torch.tensor(pad), pad_type="custom",
        strides=torch.tensor([2, 2]),
    )  # fmt: skip
    torch.testing.assert_close(found, full[:, :, pad[0] : full.shape[2] - pad[1], pad[2] : full.shape[3] - pad[3]])


def test_a_transposed_convolution_that_reaches_past_the_full_result_holds_the_bias_there():
    x, weight, bias = torch.randn(1, 4, 5), torch.randn(4, 3, 2), torch.randn(3)
    found = run(
        "conv_transpose", x=x, weight=weight, bias=bias, strides=torch.tensor([3]), pad_type="same",
    )  # fmt: skip
    torch.testing.assert_close(found, F.conv_transpose1d(x, weight, bias, 3, output_padding=1))


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("excluded", [False, True])
def test_an_average_pool_counts_its_border_as_torch_does(ceil_mode, excluded):
    x = torch.randn(2, 3, 10, 11)
    found = run(
        "avg_pool", x=x, kernel_sizes=torch.tensor([3, 3]), strides=torch.tensor([2, 2]), pad_type="custom",
        pad=torch.tensor([1, 1, 1, 1]), exclude_padding_from_average=excluded, ceil_mode=ceil_mode,
    )  # fmt: skip
    torch.testing.assert_close(found, F.avg_pool2d(x, 3, 2, 1, ceil_mode, not excluded))


def test_an_l2_pool_is_the_root_of_the_sum_of_squares():
    x = torch.randn(1, 2, 8, 8)
    found = run("l2_pool", x=x, kernel_sizes=torch.tensor([2, 2]), strides=torch.tensor([2, 2]))
    torch.testing.assert_close(found, F.lp_pool2d(x, 2, 2, 2))


def test_quantizing_stays_inside_the_range_and_takes_halves_to_even():
    found = run("quantize", input=torch.tensor([0.5, 1.5, 1e9, -1e9]), scale=torch.tensor(1.0), output_dtype="int8")
    assert found.tolist() == [0, 2, 127, -128]


def test_dequantizing_takes_a_scale_for_each_cell_of_its_axis():
    steps = torch.tensor([[10, 20], [30, 40]], dtype=torch.uint8)
    found = run(
        "dequantize", input=steps, scale=torch.tensor([1.0, 0.5]),
        zero_point=torch.tensor([10, 20], dtype=torch.uint8), axis=torch.tensor(0),
    )  # fmt: skip
    assert found.tolist() == [[0.0, 10.0], [5.0, 10.0]]


def test_an_lstm_in_both_directions_is_that_of_torch():
    layer = nn.LSTM(GIVEN, HIDDEN, bidirectional=True)
    x, h, c = torch.randn(SEQUENCE, BATCH, GIVEN), torch.randn(2, BATCH, HIDDEN), torch.randn(2, BATCH, HIDDEN)
    output, (last_h, last_c) = layer(x, (h, c))
    order = (0, 1, 3, 2)  # input, forget, output, cell

    def weights(suffix):
        return {
            "ih": gates(getattr(layer, f"weight_ih_l0{suffix}"), order),
            "hh": gates(getattr(layer, f"weight_hh_l0{suffix}"), order),
            "bias": gates(getattr(layer, f"bias_ih_l0{suffix}") + getattr(layer, f"bias_hh_l0{suffix}"), order),
        }

    forth, back = weights(""), weights("_reverse")
    found = run(
        "lstm", x=x, initial_h=as_both_directions(h), initial_c=as_both_directions(c), direction="bidirectional",
        weight_ih=forth["ih"], weight_hh=forth["hh"], bias=forth["bias"], output_sequence=True,
        weight_ih_back=back["ih"], weight_hh_back=back["hh"], bias_back=back["bias"],
    )  # fmt: skip
    expected = (output.detach(), as_both_directions(last_h), as_both_directions(last_c))
    torch.testing.assert_close(found, expected)


def test_a_gru_that_resets_after_the_product_is_that_of_torch():
    layer = nn.GRU(GIVEN, HIDDEN)
    x, h = torch.randn(SEQUENCE, BATCH, GIVEN), torch.randn(1, BATCH, HIDDEN)
    output, last_h = layer(x, h)
    order = (0, 2, 1)  # reset, output, update
    found = run(
        "gru", x=x, initial_h=h[0], weight_ih=gates(layer.weight_ih_l0, order), output_sequence=True, reset_after=True,
        weight_hh=gates(layer.weight_hh_l0, order), bias=gates(layer.bias_hh_l0, order),
        input_bias=gates(layer.bias_ih_l0, order),
    )  # fmt: skip
    torch.testing.assert_close(found, (output.detach(), last_h[0].detach()))


def test_a_reverse_layer_gives_its_steps_in_the_order_in_which_they_run():
    layer = nn.RNN(GIVEN, HIDDEN, bias=False)
    x, h = torch.randn(SEQUENCE, BATCH, GIVEN), torch.randn(1, BATCH, HIDDEN)
    output, _ = layer(x.flip(0), h)
    steps, last = run(
        "rnn", x=x, initial_h=h[0], weight_ih=layer.weight_ih_l0.detach(), weight_hh=layer.weight_hh_l0.detach(),
        direction="reverse", output_sequence=True,
    )  # fmt: skip
    torch.testing.assert_close(steps, output.detach())
    assert torch.equal(last, steps[-1])


def test_a_seed_gives_the_same_numbers_on_every_run():
    first, second = (run("random_normal", shape=torch.tensor([4]), seed=torch.tensor(7)) for _ in range(2))
    assert torch.equal(first, second)


def test_random_numbers_have_the_published_distributions():
    shape, seed = torch.tensor([100_000]), torch.tensor(1)
    normal = run("random_normal", shape=shape, mean=torch.tensor(3.0), stddev=torch.tensor(2.0), seed=seed)
    uniform = run("random_uniform", shape=shape, low=torch.tensor(-1.0), high=torch.tensor(3.0), seed=seed)
    coin = run("random_bernoulli", shape=shape, prob=torch.tensor(0.2), seed=seed)
    assert [normal.mean().item(), normal.std().item()] == pytest.approx([3, 2], abs=0.03)
    assert [uniform.mean().item(), uniform.var().item()] == pytest.approx([1, 16 / 12], abs=0.03)
    assert (uniform.min() >= -1, uniform.max() < 3) == (True, True)
    assert coin.mean().item() == pytest.approx(0.2, abs=0.01)


def test_classes_are_drawn_as_often_as_their_probability_says():
    odds = torch.tensor([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
    drawn = run("random_categorical", x=odds, mode="probs", size=torch.tensor(50_000), seed=torch.tensor(1))
    shares = torch.stack([(drawn == index).float().mean(1) for index in range(3)], 1)
    torch.testing.assert_close(shares, odds, atol=0.01, rtol=0)


def test_a_huge_random_tensor_is_refused():
    with pytest.raises(BadArtifactError, match="is asked for"):
        run("random_uniform", shape=torch.tensor([2**20, 2**20]))
