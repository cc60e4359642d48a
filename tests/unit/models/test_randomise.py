"""Random statistics: reproducible, within their ranges, and enough to make every branch matter."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edge.models import efficientformer
from edge.models.randomise import randomise_statistics
from edge.models.weights import state_sha256


def fresh() -> nn.Module:
    torch.manual_seed(0)
    return efficientformer.build("efficientformer_mini").eval()


def randomised(seed: int) -> nn.Module:
    module = fresh()
    randomise_statistics(module, seed)
    return module


def test_the_same_seed_gives_the_same_weights() -> None:
    assert state_sha256(randomised(3)) == state_sha256(randomised(3))


def test_another_seed_gives_other_weights() -> None:
    assert state_sha256(randomised(3)) != state_sha256(randomised(4))


def test_the_global_random_state_is_untouched() -> None:
    module = fresh()
    before = torch.random.get_rng_state()
    randomise_statistics(module, 0)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("ending", "low", "high"),
    [("ls1.gamma", 0.1, 0.5), ("running_var", 0.5, 1.5), ("norm1.weight", 0.5, 1.5), ("norm.weight", 0.5, 1.5)],
)
def test_scales_stay_in_their_range_and_vary(ending: str, low: float, high: float) -> None:
    drawn = torch.cat([tensor for name, tensor in randomised(0).state_dict().items() if name.endswith(ending)])
    assert low <= drawn.min() < drawn.mean() < drawn.max() <= high


@pytest.mark.parametrize(("ending", "deviation"), [("attention_biases", 0.5), ("running_mean", 0.1)])
def test_tables_and_means_are_normal(ending: str, deviation: float) -> None:
    states = [randomised(seed).state_dict() for seed in range(8)]
    drawn = torch.cat([value.flatten() for state in states for name, value in state.items() if name.endswith(ending)])
    assert abs(drawn.std() / deviation - 1) < 0.2


def test_weights_keep_half_the_power_of_what_they_are_given() -> None:
    weight = randomised(0).state_dict()["stages.2.blocks.0.mlp.fc2.weight"]
    assert abs(weight.std() * (2 * weight[0].numel()) ** 0.5 - 1) < 0.05


def test_every_residual_branch_reaches_the_output() -> None:
    module = randomised(0)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = module(x)
        assert whole.std() > 1e-2
        for name, parameter in module.named_parameters():
            if name.endswith("gamma"):
                kept = parameter.clone()
                parameter.zero_()
                assert (module(x) - whole).abs().max() > 1e-3 * whole.std(), name
                parameter.copy_(kept)
