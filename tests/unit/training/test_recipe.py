"""The rate rises, falls, and ends small; numbers that make no training are refused."""

from __future__ import annotations

import pytest

from edge.errors import UsageError
from edge.models.vanillanet import leak_at
from edge.training.recipe import TrainingRecipe, default_leak_epochs, default_warmup_epochs

RECIPE = TrainingRecipe(epochs=10, lr=1.0, warmup_epochs=2)


def test_the_rate_rises_in_a_line_during_warm_up():
    assert [RECIPE.learning_rate(step, 5) for step in range(10)] == pytest.approx(
        [(step + 1) / 10 for step in range(10)]
    )


def test_the_rate_falls_along_a_cosine_to_one_percent():
    rates = [RECIPE.learning_rate(step, 5) for step in range(10, 51)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(1.0)
    assert rates[20] == pytest.approx(0.01 + 0.99 / 2)
    assert rates[40] == pytest.approx(0.01)


def test_without_warm_up_the_first_step_has_the_full_rate():
    assert TrainingRecipe(epochs=1, lr=0.5, warmup_epochs=0).learning_rate(0, 4) == pytest.approx(0.5)


def test_the_average_forgets_the_start_first():
    assert RECIPE.ema_decay(0) == pytest.approx(0.1)
    assert RECIPE.ema_decay(100_000) == RECIPE.ema


@pytest.mark.parametrize("epochs", [1, 2, 3, 15, 300])
def test_the_defaults_suit_every_length(epochs):
    recipe = TrainingRecipe(
        epochs=epochs, warmup_epochs=default_warmup_epochs(epochs), leak_epochs=default_leak_epochs(epochs)
    )
    assert recipe.warmup_epochs <= 5
    assert leak_at(epochs - 1, recipe.leak_epochs) == 1.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"lr": float("inf")},
        {"weight_decay": -1.0},
        {"warmup_epochs": 15.0},
        {"label_smoothing": 1.0},
        {"mixup": -0.1},
        {"cutmix": float("inf")},
        {"ema": 1.0},
        {"leak_epochs": 15},
    ],
)
def test_a_number_that_makes_no_training_is_refused_by_name(wrong):
    with pytest.raises(UsageError) as caught:
        TrainingRecipe(**wrong)
    assert str(caught.value).replace("-", "").replace(" ", "_").startswith(next(iter(wrong)))
