"""A small network of several tasks is trained from order to run folder: repeatably, resumably, and with what it needs only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from edge import runfolder
from edge.dense import subject
from edge.dense.evaluate import evaluate
from edge.dense.gallery import gathered
from edge.dense.lesson import DenseLesson, task_loss
from edge.dense.losses import LOSSES, WEIGHTS
from edge.dense.scenes import SCENES, Scenes
from edge.errors import UsageError
from edge.models.m3vit import build
from edge.models.m3vit_moe import BALANCE_WEIGHT, balance_loss
from edge.models.network import seeded
from edge.models.sources import resolve
from edge.models.weights import load_state
from edge.preprocess import Preprocess
from edge.reference import ModelRequest
from edge.training.lesson import normalised
from edge.training.order import TrainingOrder
from edge.training.parallel import Group
from edge.training.recipe import RECIPES, Answers
from edge.training.run import train
from edge.training.watch import Watcher

SIZE = (32, 32)
RECIPE = replace(RECIPES[Answers.MAPS], epochs=2, batch_size=4, warmup_epochs=0.5)


class KilledError(Exception):
    """Stands for a kill between two statements."""


class KillsAfterOne(Watcher):
    def measured(self, metrics):
        raise KilledError(metrics.epoch)


@pytest.fixture(autouse=True)
def few_are_held_out(monkeypatch):
    monkeypatch.setattr(subject, "HELD_OUT", 6)


@pytest.fixture
def order(tmp_path):
    request = ModelRequest("m3vit_mini", image_size=SIZE)
    return TrainingOrder(request, SCENES, tmp_path / "run", RECIPE, scenes=12)


def of(order, model, **changes):
    return replace(order, request=replace(order.request, reference=model), **changes)


def quietly(order):
    return train(order, Watcher(), pytest.fail)


def lesson(count=12, **changes):
    scenes = gathered(Scenes(SIZE, 0, 0, count), ("seg", "depth", "normals", "edges", "saliency"))
    parts = {
        "training": scenes,
        "held_out": scenes,
        "classes": Scenes(SIZE, 0, 0, 1).classes,
        "channels": 7,
        "preprocess": Preprocess(*SIZE),
        "recipe": RECIPE,
        "seed": 0,
    }
    return DenseLesson(**{**parts, **changes})


def network(model="m3vit_mini"):
    with seeded(0):
        return build(model, num_classes=7 if model == "m3vit_mini" else None, image_size=SIZE)


def test_a_killed_run_ends_with_the_same_bits(order, tmp_path):
    killed = replace(order, out=tmp_path / "killed")
    quietly(order)
    with pytest.raises(KilledError):
        train(killed, KillsAfterOne(), pytest.fail)
    assert quietly(killed).trained == 1
    names = {path.name for path in order.out.iterdir()}
    assert {"weights.safetensors", "routing.html", "workload.toml", "routing-seg.npz"} <= names
    assert names == {path.name for path in killed.out.iterdir()}
    for name in names - {"metrics.jsonl", "routing.html"}:  # seconds, and the name of the folder
        assert (order.out / name).read_bytes() == (killed.out / name).read_bytes()


def test_a_run_folder_is_a_model_with_the_same_metrics(order):
    last = quietly(order).history[-1]
    model = resolve(ModelRequest(str(order.out)))
    held = gathered(Scenes(SIZE, 0, 1_000_000, 6), model.module.tasks)
    found = evaluate(model.module, held, model.preprocess, classes=7)
    assert found.metrics == last.metrics
    assert found.accuracy == last.accuracy == last.metrics["seg"].value
    assert [spec.shape[1] for spec in model.outputs] == [7, 1, 3, 1, 1]


@pytest.mark.parametrize(("task", "channels"), [("seg", 7), ("depth", 1), ("normals", 3)])
def test_a_network_of_one_task_is_trained_for_it_alone(order, task, channels):
    single = of(order, f"m3vit_mini_{task}", recipe=replace(RECIPE, epochs=1, warmup_epochs=0))
    last = quietly(single).history[-1]
    assert set(last.metrics) == {task}
    assert (last.accuracy is None) == (task != "seg")
    assert runfolder.read(single.out).num_classes == channels
    assert [spec.shape[1] for spec in resolve(ModelRequest(str(single.out))).outputs] == [channels]


def test_the_pathway_of_one_task_takes_the_weights_of_the_whole_run(order):
    quietly(order)
    whole = resolve(ModelRequest(str(order.out))).module
    request = ModelRequest("m3vit_mini_normals", weights=order.out / runfolder.WEIGHTS, image_size=SIZE)
    picture = torch.rand(1, 3, *SIZE)
    with torch.no_grad():
        assert torch.equal(resolve(request).module(picture, "normals"), whole(picture, "normals"))


def test_runs_of_different_tasks_see_the_same_pictures_in_the_same_order():
    scenes = lesson()
    alone = replace(scenes, training=gathered(Scenes(SIZE, 0, 0, 12), ("depth",)))
    for one, other in zip(scenes.batches(1, Group()), alone.batches(1, Group()), strict=True):
        assert torch.equal(one.pictures, other.pictures)
        assert torch.equal(one.targets["depth"], other.targets["depth"])


def test_a_network_learns_every_task_of_a_few_scenes():
    scenes, learner = lesson(), network()
    before = evaluate(learner.eval(), scenes.held_out, scenes.preprocess, 7)
    optimiser = torch.optim.AdamW(learner.parameters(), lr=2e-3)
    losses = []
    for epoch in range(16):
        learner.train()
        for batch in scenes.batches(epoch, Group()):
            optimiser.zero_grad()
            losses.append(scenes.backward(learner, batch))
            optimiser.step()
    after = scenes.score(learner)
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])
    for task in ("seg", "depth", "normals"):
        better = after.metrics[task].value - before.metrics[task].value
        assert (better > 0) == after.metrics[task].higher_is_better, task


def test_the_gradients_are_those_of_the_sum_of_all_tasks():
    scenes, one, other = lesson(), network().train(), network().train()
    batch = next(scenes.batches(0, Group()))
    inputs = normalised(batch.pictures, scenes.preprocess)
    total = 0
    for task in other.tasks:
        passed = other.run(inputs, task)
        total = total + WEIGHTS[task] * LOSSES[task](passed.map, batch.targets[task])
        total = total + BALANCE_WEIGHT * balance_loss(passed.routings)
    total.backward()
    assert scenes.backward(one, batch) == pytest.approx(total.item(), rel=1e-5)
    for (name, mine), theirs in zip(one.named_parameters(), other.parameters(), strict=True):
        if theirs.grad is not None:
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-5, msg=name)


def test_the_loss_of_a_task_is_larger_by_the_imbalance_of_its_experts():
    scenes, learner = lesson(), network("m3vit_mini_depth")
    batch = next(scenes.batches(0, Group()))
    inputs = normalised(batch.pictures, scenes.preprocess)
    passed = learner.eval().run(inputs, "depth")
    plain = LOSSES["depth"](passed.map, batch.targets["depth"])
    added = task_loss(learner, inputs, "depth", batch.targets["depth"]) - WEIGHTS["depth"] * plain
    assert added.item() == pytest.approx(0.01 * balance_loss(passed.routings).item(), rel=1e-4)
    assert added > 0


def test_about_half_of_the_scenes_are_shown_mirrored():
    scenes = lesson()
    plain = [picture.tobytes() for picture in scenes.training.pictures]
    shown = [
        (255 * picture.permute(1, 2, 0)).round().byte().numpy().tobytes() in plain
        for epoch in range(8)
        for batch in scenes.batches(epoch, Group())
        for picture in batch.pictures
    ]
    assert 0.3 < np.mean(shown) < 0.7


def test_a_classifier_cannot_learn_maps(order):
    with pytest.raises(UsageError, match="map per task") as caught:
        quietly(of(order, "efficientformer_mini"))
    assert "m3vit_tiny" in caught.value.hint
    assert not order.out.exists()


@pytest.mark.parametrize("model", ["m3vit_mini", "m3vit_mini_depth"])
def test_a_network_of_tasks_cannot_learn_digits(order, model):
    with pytest.raises(UsageError, match="answers with maps") as caught:
        quietly(of(order, model, data="digits", scenes=None))
    assert "--data scenes" in caught.value.hint


def test_what_is_for_classes_is_refused_for_maps(order):
    for changes in ({"mixup": 0.1}, {"cutmix": 0.1}, {"label_smoothing": 0.1}):
        with pytest.raises(UsageError, match="is for classes"):
            quietly(replace(order, recipe=replace(RECIPE, **changes)))
    with pytest.raises(UsageError, match="--teacher is for classes"):
        quietly(replace(order, teacher=order.request))
    with pytest.raises(UsageError, match="--leak-epochs is for classes"):
        quietly(replace(order, leak_epochs=1))
    assert not order.out.exists()


@pytest.fixture
def rooms(tmp_path):
    """Six rooms in the layout of NYUD_MT: no saliency."""
    draw, names = np.random.default_rng(0), {"train": ("1", "2", "3", "4"), "val": ("5", "6")}
    for folder in ("gt_sets", "images", "segmentation", "depth", "normals", "edge"):
        (tmp_path / "rooms" / folder).mkdir(parents=True)
    for part, numbers in names.items():
        (tmp_path / "rooms" / "gt_sets" / f"{part}.txt").write_text("\n".join(numbers))
        for number in numbers:
            pixels = draw.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "rooms" / "images" / f"{number}.jpg")
            Image.fromarray(pixels[..., 0] % 41).save(tmp_path / "rooms" / "segmentation" / f"{number}.png")
            np.save(tmp_path / "rooms" / "depth" / f"{number}.npy", draw.random(SIZE, np.float32))
            np.save(tmp_path / "rooms" / "normals" / f"{number}.npy", draw.normal(size=(*SIZE, 3)).astype(np.float32))
            np.save(tmp_path / "rooms" / "edge" / f"{number}.npy", draw.integers(0, 2, SIZE).astype(np.float32))
    return tmp_path / "rooms"


def test_a_folder_of_scenes_is_learned_with_its_own_classes(order, rooms):
    last = quietly(of(order, "m3vit_mini_seg", data=str(rooms), scenes=None)).history[-1]
    assert last.metrics["seg"].name == "mIoU"
    card = runfolder.read(order.out)
    assert (card.num_classes, card.data) == (40, str(rooms))


def test_a_task_without_maps_is_named(order, rooms):
    with pytest.raises(UsageError, match="no maps of saliency") as caught:
        quietly(of(order, "m3vit_mini", data=str(rooms), scenes=None))
    assert "seg, depth, normals, edges" in caught.value.hint


def test_a_number_of_scenes_is_no_matter_of_folders(order, rooms):
    with pytest.raises(UsageError, match="--scenes is for scenes that are drawn"):
        quietly(of(order, "m3vit_mini_depth", data=str(rooms)))


def test_a_number_of_scenes_is_for_drawn_scenes(order):
    with pytest.raises(UsageError, match="--scenes is for scenes that are drawn"):
        quietly(of(order, "efficientformer_mini", data="digits"))


def test_a_run_of_other_scenes_is_refused(order):
    quietly(order)
    with pytest.raises(UsageError, match="scenes is 12, not 16"):
        quietly(replace(order, scenes=16))


def test_training_goes_on_from_the_weights_of_another_run(order, tmp_path):
    quietly(order)
    tuned = replace(
        order,
        request=ModelRequest("m3vit_mini_seg", weights=order.out / runfolder.WEIGHTS, image_size=SIZE),
        out=tmp_path / "tuned",
        recipe=replace(RECIPE, lr=1e-9),
    )
    quietly(tuned)
    before, after = (load_state(run.out / runfolder.WEIGHTS) for run in (order, tuned))
    torch.testing.assert_close(after["pos_embed"], before["pos_embed"], atol=1e-6, rtol=0)
    assert runfolder.read(tuned.out).model == "m3vit_mini_seg"
