"""A run whose loss becomes no number goes back to its last good weights and learns slower, and says so."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from edge.errors import UsageError
from edge.models.network import seeded
from edge.preprocess import Preprocess
from edge.training import watch
from edge.training.lesson import Lesson
from edge.training.loop import HALVINGS, Trainee, fit
from edge.training.parallel import Group
from edge.training.recipe import TrainingRecipe
from edge.training.record import CHECKPOINT, Record
from edge.training.score import Score
from edge.training.watch import Watcher

RECIPE = TrainingRecipe(epochs=4, batch_size=4, lr=0.1, warmup_epochs=0, ema=0.9)
GROUP = Group()


class Slope(Lesson[torch.Tensor]):
    """Twelve numbers, three steps an epoch; some steps of `backward` give what `spoils` makes of the loss."""

    def __init__(self, spoils):
        self.preprocess, self.recipe, self.seed, self.spoils = Preprocess(8, 8), RECIPE, 0, spoils

    @property
    def num_classes(self):
        return 1

    def __len__(self):
        return 12

    def batch(self, chosen, draw):
        return torch.from_numpy(np.float32(chosen[:, None] / 12 + draw.normal(0, 0.1, (len(chosen), 1))))

    def backward(self, network, batch):
        loss = self.spoils((network(batch) - 2 * batch).square().mean(), batch)
        loss.backward()
        return loss.item()

    def score(self, network):  # noqa: ARG002
        return Score(None)


class Hears(Watcher):
    """Remembers what was rolled back, and dies when so many epochs are done."""

    def __init__(self, dies_after=0):
        self.heard, self.dies_after = [], dies_after

    def rolled_back(self, epoch, lr):
        self.heard.append((epoch, lr))

    def measured(self, metrics):
        if metrics.epoch == self.dies_after:
            raise KeyboardInterrupt


def sound(loss, batch):
    return loss


def spoils_a_step_of_the_second_epoch(rates_above, trainee):
    """What the loss is after the fourth step while the rate is too high, as of a network that leaves its valley."""
    fifth = [*Slope(sound).batches(1, GROUP)][1]

    def spoils(loss, batch):
        too_fast = trainee.optimiser.param_groups[0]["lr"] > rates_above
        return loss * math.nan if too_fast and torch.equal(batch, fifth) else loss

    return spoils


def trainee():
    with seeded(0):
        return Trainee(nn.Linear(1, 1), RECIPE, GROUP)


def taught(folder, lesson, trained, watcher):
    record = Record(folder)
    record.claim({})
    before = ()
    if (checkpoint := record.checkpoint()) is not None:
        trained.load(checkpoint.states)
        before = checkpoint.history
    return fit(trained, lesson, before, record, GROUP, watcher)


def weights(trained):
    return {name: value.clone() for name, value in trained.average.network.state_dict().items()}


def test_the_epoch_begins_again_at_half_the_rate(tmp_path):
    plain, spoiled, heard = trainee(), trainee(), Hears()
    rates = [metrics.lr for metrics in taught(tmp_path / "plain", Slope(sound), plain, Watcher())]
    lesson = Slope(spoils_a_step_of_the_second_epoch(0.05, spoiled))
    lowered = [metrics.lr for metrics in taught(tmp_path / "spoiled", lesson, spoiled, heard)]
    assert heard.heard == [(2, 0.05)]
    assert lowered == pytest.approx([rates[0], *(rate / 2 for rate in rates[1:])])


def test_an_epoch_that_began_again_is_that_of_a_run_that_was_slower_from_there(tmp_path):
    spoiled, slow = trainee(), trainee()
    taught(tmp_path / "spoiled", Slope(spoils_a_step_of_the_second_epoch(0.05, spoiled)), spoiled, Watcher())
    with pytest.raises(KeyboardInterrupt):
        taught(tmp_path / "slow", Slope(sound), slow, Hears(dies_after=1))
    slow.halvings = 1
    record = Record(tmp_path / "slow")
    fit(slow, Slope(sound), record.checkpoint().history, record, GROUP, Watcher())
    assert weights(spoiled) == weights(slow)


def test_a_first_epoch_begins_again_from_the_first_weights(tmp_path):
    spoiled, slow = trainee(), trainee()

    def spoils(loss, batch):
        last = torch.equal(batch, [*Slope(sound).batches(0, GROUP)][-1])
        return loss * math.inf if last and spoiled.halvings < 2 else loss

    taught(tmp_path / "spoiled", Slope(spoils), spoiled, heard := Hears())
    slow.halvings = 2
    taught(tmp_path / "slow", Slope(sound), slow, Watcher())
    assert heard.heard == [(1, 0.05), (1, 0.025)]
    assert weights(spoiled) == weights(slow)


def test_gradients_that_are_no_numbers_are_never_learned(tmp_path):
    spoiled = trainee()

    def spoils(loss, batch):
        if spoiled.halvings == 0:
            loss.register_hook(lambda gradient: gradient * math.nan)
        return loss

    history = taught(tmp_path, Slope(spoils), spoiled, heard := Hears())
    assert heard.heard == [(1, 0.05)]
    assert all(math.isfinite(metrics.train_loss) for metrics in history)
    assert all(value.isfinite().all() for value in weights(spoiled).values())


def test_a_run_that_stays_no_number_ends_with_advice_and_keeps_its_last_good_weights(tmp_path):
    spoiled = trainee()
    with pytest.raises(UsageError, match="loss became no number in epoch 2") as caught:
        taught(tmp_path, Slope(spoils_a_step_of_the_second_epoch(0.0, spoiled)), spoiled, heard := Hears())
    assert "lower --lr, which is 0.1" in caught.value.hint
    assert [lr for _, lr in heard.heard] == [0.1 / 2**halvings for halvings in range(1, HALVINGS + 1)]
    kept = Record(tmp_path).checkpoint()
    assert len(kept.history) == 1
    assert all(value.isfinite().all() for value in kept.states["network"].values())


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_run_killed_before_or_after_a_roll_back_ends_with_the_same_bits(tmp_path, epochs):
    whole, killed, resumed = trainee(), trainee(), trainee()
    history = taught(tmp_path / "whole", Slope(spoils_a_step_of_the_second_epoch(0.05, whole)), whole, Watcher())
    with pytest.raises(KeyboardInterrupt):
        lesson = Slope(spoils_a_step_of_the_second_epoch(0.05, killed))
        taught(tmp_path / "killed", lesson, killed, Hears(dies_after=epochs))
    lesson = Slope(spoils_a_step_of_the_second_epoch(0.05, resumed))
    again = taught(tmp_path / "killed", lesson, resumed, Watcher())
    assert weights(whole) == weights(resumed)
    assert [(each.train_loss, each.lr) for each in again] == [(each.train_loss, each.lr) for each in history]


def test_a_checkpoint_written_before_rates_were_halved_is_taken_up(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        taught(tmp_path, Slope(sound), trainee(), Hears(dies_after=1))
    content = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    del content["states"]["rate"]
    torch.save(content, tmp_path / CHECKPOINT)
    trained = trainee()
    assert len(taught(tmp_path, Slope(sound), trained, Watcher())) == RECIPE.epochs
    assert trained.halvings == 0


def test_without_a_terminal_a_roll_back_is_one_line(capsys):
    with watch.watcher() as watcher:
        watcher.starts(12, 0)
        watcher.stepped(1.0)
        watcher.rolled_back(2, 0.05)
    (line,) = capsys.readouterr().err.splitlines()
    assert "epoch 2" in line
    assert "--lr 0.05" in line


def test_a_terminal_shows_a_roll_back(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(watch, "Console", lambda **_: Console(file=shown, width=120))
    with watch.Terminal() as watcher:
        watcher.rolled_back(2, 0.05)
    assert "epoch 2" in shown.getvalue()
    assert "--lr 0.05" in shown.getvalue()
