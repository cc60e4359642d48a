"""A small network is trained from order to run folder: repeatably, resumably, alone or with a teacher."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from edge import runfolder
from edge.errors import UsageError
from edge.models.sources import resolve
from edge.models.weights import load_state
from edge.reference import ModelRequest
from edge.training.classification import accuracy
from edge.training.data import held_out
from edge.training.loop import Trainee, parameter_groups
from edge.training.order import TrainingOrder
from edge.training.parallel import Group
from edge.training.recipe import Distillation, TrainingRecipe
from edge.training.record import METRICS
from edge.training.run import train
from edge.training.start import Teacher
from edge.training.watch import Watcher

FACTORY = """
from torch import nn


class Pair(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1), nn.Flatten())
        self.head, self.head_dist = nn.Linear(128, classes), nn.Linear(128, classes)

    def forward(self, x):
        x = self.body(x)
        pair = self.head(x), self.head_dist(x)
        return pair if self.training else (pair[0] + pair[1]) / 2


class Leaky(Pair):
    leak = 1.0

    def set_leak(self, value):
        self.leak = value

    def forward(self, x):
        assert 0 <= self.leak <= 1
        return super().forward(x)


def pair(num_classes=2, image_size=(8, 8)):
    return Pair(num_classes), {"inputs": [{"name": "image", "shape": [1, 3, *image_size], "layout": "NCHW"}]}


def leaky(num_classes=2, image_size=(8, 8)):
    return Leaky(num_classes), {"inputs": [{"name": "image", "shape": [1, 3, *image_size], "layout": "NCHW"}]}
"""

RECIPE = TrainingRecipe(epochs=3, batch_size=4, warmup_epochs=1, mixup=0.2)


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    path = tmp_path_factory.mktemp("factory") / "toys.py"
    path.write_text(FACTORY)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Ten bright and ten dark noisy pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    draw = np.random.default_rng(0)
    for name, low in (("bright", 140), ("dark", 0)):
        (folder / name).mkdir()
        for number in range(10):
            values = draw.integers(low, low + 110, (10, 10, 3)).astype(np.uint8)
            Image.fromarray(values).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture
def order(toys, pictures, tmp_path):
    return TrainingOrder(ModelRequest(f"{toys}:pair"), str(pictures), tmp_path / "run", RECIPE)


def quietly(order):
    return train(order, Watcher(), pytest.fail)


class KilledError(Exception):
    """Stands for a kill between two statements."""


class KillsAfter(Watcher):
    """Dies when so many epochs are done."""

    def __init__(self, epochs):
        self.epochs = epochs

    def measured(self, metrics):
        if metrics.epoch == self.epochs:
            raise KilledError


def weights(order):
    return load_state(order.out / runfolder.WEIGHTS)


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_learns(order):
    report = quietly(replace(order, recipe=replace(RECIPE, epochs=12, lr=5e-3)))
    assert report.history[-1].accuracy == 1.0
    assert report.history[-1].train_loss < report.history[0].train_loss


def test_a_run_folder_is_a_model_of_the_same_accuracy(order):
    report = quietly(order)
    model = resolve(ModelRequest(str(order.out)))
    held = held_out(order.data, model.preprocess, seed=0)
    assert model.labels == held.classes == ("bright", "dark")
    assert accuracy(model.module, held, model.preprocess) == report.history[-1].accuracy


def test_the_run_card_says_how_it_was_trained(order):
    quietly(order)
    card = runfolder.read(order.out)
    assert (card.data, card.seed, card.epochs) == (order.data, 0, 3)
    assert card.image_size == (8, 8)


def test_a_finished_run_keeps_no_checkpoint(order):
    quietly(order)
    names = {path.name for path in order.out.iterdir()}
    assert names == {"metrics.jsonl", "run.json", "settings.json", "weights.safetensors"}


def test_two_runs_end_with_the_same_bits(order, tmp_path):
    again = replace(order, out=tmp_path / "again")
    quietly(order)
    quietly(again)
    assert (order.out / runfolder.WEIGHTS).read_bytes() == (again.out / runfolder.WEIGHTS).read_bytes()


def test_another_seed_ends_elsewhere(order, tmp_path):
    other = replace(order, request=replace(order.request, seed=1), out=tmp_path / "other")
    quietly(order)
    quietly(other)
    assert not equal(weights(order), weights(other))


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_run_killed_after_any_epoch_ends_with_the_same_bits(order, tmp_path, epochs):
    killed = replace(order, out=tmp_path / "killed")
    quietly(order)
    with pytest.raises(KilledError):
        train(killed, KillsAfter(epochs), pytest.fail)
    assert quietly(killed).trained == 3 - epochs
    assert (order.out / runfolder.WEIGHTS).read_bytes() == (killed.out / runfolder.WEIGHTS).read_bytes()


def test_a_resumed_run_has_one_metrics_line_per_epoch(order):
    with pytest.raises(KilledError):
        train(order, KillsAfter(2), pytest.fail)
    quietly(order)
    assert [json.loads(line)["epoch"] for line in (order.out / METRICS).read_text().splitlines()] == [1, 2, 3]


def test_a_finished_run_is_not_trained_again(order):
    first = quietly(order)
    before = (order.out / runfolder.WEIGHTS).stat().st_mtime_ns
    second = quietly(order)
    assert (second.trained, second.history) == (0, first.history)
    assert (order.out / runfolder.WEIGHTS).stat().st_mtime_ns == before


def test_a_run_of_other_settings_is_refused(order):
    quietly(order)
    with pytest.raises(UsageError, match="epochs is 3, not 4"):
        quietly(replace(order, recipe=replace(RECIPE, epochs=4)))


def test_a_run_whose_pictures_changed_is_refused(order, toys, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "few" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "few" / name / f"{number}.png")
    order = replace(order, data=str(tmp_path / "few"))
    quietly(order)
    (tmp_path / "few" / "a" / "0.png").unlink()
    with pytest.raises(UsageError, match="pictures"):
        quietly(order)


def test_unreadable_pictures_are_warned_of_once(order, pictures, tmp_path):
    folder = shutil.copytree(pictures, tmp_path / "copy")
    for number in range(5):
        (folder / "dark" / f"broken {number}.png").write_bytes(b"")
    said = []
    train(replace(order, data=str(folder)), Watcher(), said.append)
    assert len(said) == 1
    assert "(5)" in said[0]
    assert "and 2 more" in said[0]


def test_a_loss_that_is_no_number_ends_the_run_with_advice(order):
    with pytest.raises(UsageError, match="loss became") as caught:
        quietly(replace(order, recipe=replace(RECIPE, lr=1e30, clip_norm=1e30)))
    assert "--lr" in caught.value.hint


@pytest.mark.parametrize("kind", Distillation)
def test_a_teacher_changes_what_is_learned(order, tmp_path, kind):
    quietly(order)
    taught = replace(
        order,
        out=tmp_path / "taught",
        teacher=ModelRequest(str(order.out)),
        recipe=replace(RECIPE, distillation=kind),
    )
    quietly(taught)
    assert not equal(weights(order), weights(taught))


def test_a_teacher_without_weights_is_refused(order):
    with pytest.raises(UsageError, match="has no weights"):
        quietly(replace(order, teacher=order.request))


def test_a_teacher_sees_its_own_size(order):
    quietly(order)
    teacher = Teacher(ModelRequest(str(order.out)), 2)
    assert teacher(torch.rand(3, 3, 20, 20)).shape == (3, 2)


def test_a_run_goes_on_from_the_weights_of_another(order, tmp_path):
    quietly(order)
    tuned = replace(
        order, request=ModelRequest(str(order.out)), out=tmp_path / "tuned", recipe=replace(RECIPE, lr=1e-9)
    )
    quietly(tuned)
    for name, value in weights(order).items():
        if name.endswith("weight"):
            torch.testing.assert_close(value, weights(tuned)[name], atol=1e-6, rtol=0)
    assert runfolder.read(tuned.out).model == order.request.reference


def test_other_classes_get_a_new_head_and_keep_the_body(order, tmp_path):
    quietly(order)
    for name in ("a", "b", "c"):
        (tmp_path / "three" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8), (60 * number, 0, 0)).save(tmp_path / "three" / name / f"{number}.png")
    tuned = replace(
        order,
        request=ModelRequest(str(order.out)),
        data=str(tmp_path / "three"),
        out=tmp_path / "tuned",
        recipe=replace(RECIPE, lr=1e-9),
    )
    quietly(tuned)
    found = weights(tuned)
    assert found["head.weight"].shape == (3, 128)
    torch.testing.assert_close(found["body.0.weight"], weights(order)["body.0.weight"], atol=1e-6, rtol=0)


def test_leaky_activations_become_linear_before_the_end(order, toys, monkeypatch):
    leaks = []
    monkeypatch.setattr(Trainee, "leak", lambda _, value: leaks.append(value))
    quietly(replace(order, request=ModelRequest(f"{toys}:leaky"), leak_epochs=2))
    assert leaks == [0.0, 0.5, 1.0]


def test_the_average_leaks_like_the_network(order, toys):
    trainee = Trainee(resolve(ModelRequest(f"{toys}:leaky")).module, RECIPE, Group())
    trainee.leak(0.25)
    assert trainee.network.leak == trainee.average.network.leak == 0.25


def test_leak_epochs_for_a_network_that_cannot_leak_are_refused(order):
    with pytest.raises(UsageError, match="leaky"):
        quietly(replace(order, leak_epochs=1))


def test_a_leak_that_would_not_end_is_refused(order, toys):
    with pytest.raises(UsageError, match="leak epochs"):
        quietly(replace(order, request=ModelRequest(f"{toys}:leaky"), leak_epochs=3))


def test_norms_biases_tables_and_scales_do_not_decay():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    network.register_parameter("attention_biases", nn.Parameter(torch.zeros(8, 49)))
    network.register_parameter("gamma", nn.Parameter(torch.zeros(4, 1, 1)))
    decayed, free = parameter_groups(network, 0.05)
    assert [tuple(value.shape) for value in decayed["params"]] == [(4, 3, 3, 3), (2, 4)]
    assert decayed["weight_decay"] == 0.05
    assert len(free["params"]) == 6
    assert free["weight_decay"] == 0.0
