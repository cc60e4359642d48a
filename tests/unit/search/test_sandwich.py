"""In a step, the largest network learns the labels, others its answers, and a mixture how probable each form is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edge import plugins
from edge.search import lesson as lesson_file
from edge.search.lesson import judge
from edge.search.mixing import COLDEST, HOTTEST, MixedSupernet
from edge.search.sandwich import Sandwich, distribution
from edge.search.uniform_networks import uniform_networks
from edge.training.lesson import floats, normalised
from edge.training.parallel import Group
from tests.fakes.supernet_lesson import CLASSES, RECIPE, lesson

SIZES = {"efficientformer": 16, "vanillanet": 32}
"""The first mixes choices, the second does not."""


def sandwich(name):
    size = SIZES[name]
    space = plugins.space(name, (size, size), CLASSES)
    return space, Sandwich(space, lesson(size), calibration=8)


def specs(lesson, epoch, group):
    return [batch.specs for batch in lesson.batches(epoch, group)]


@pytest.mark.parametrize(("name", "drawn"), [("efficientformer", 1), ("vanillanet", 2)])
def test_the_smallest_network_is_in_every_step_beside_those_that_are_drawn(name, drawn):
    space, taught = sandwich(name)
    (*_, (smallest, *others)) = specs(taught, 0, Group())
    assert smallest == space.smallest()
    assert len(others) == drawn
    assert all(space.has(spec) for spec in others)


def test_half_of_the_drawn_networks_are_scaled_alike_everywhere():
    space = plugins.space("efficientvit", (32, 32), CLASSES)
    taught = Sandwich(space, lesson(32, count=400), calibration=8)
    drawn = [spec for step in specs(taught, 0, Group()) for spec in step[1:]]
    scaled = {*uniform_networks(space)}
    assert 0.4 < sum(spec in scaled for spec in drawn) / len(drawn) < 0.6
    assert len({*drawn} & scaled) > len(scaled) / 2


def test_an_epoch_draws_the_same_networks_again():
    _, taught = sandwich("vanillanet")
    assert specs(taught, 1, Group()) == specs(taught, 1, Group())


def test_epochs_and_processes_draw_others():
    _, taught = sandwich("vanillanet")
    first, later = specs(taught, 0, Group()), specs(taught, 1, Group())
    ours, theirs = (specs(taught, 0, Group(rank, 2)) for rank in (0, 1))
    assert len({spec for step in (*first, *later) for spec in step[1:]}) > 2
    assert ours != theirs


def test_the_mixture_cools_from_epoch_to_epoch():
    _, taught = sandwich("efficientformer")
    found = [[batch.temperature for batch in taught.batches(epoch, Group())] for epoch in range(3)]
    assert found == [[HOTTEST] * 2, pytest.approx([(HOTTEST * COLDEST) ** 0.5] * 2), pytest.approx([COLDEST] * 2)]


def test_gradients_are_the_sum_of_the_largest_networks_and_of_those_that_imitate_it():
    space, taught = sandwich("vanillanet")
    batch = next(taught.batches(0, Group()))
    supernet, by_hand = MixedSupernet(space), MixedSupernet(space)
    taught.backward(supernet, batch)
    pictures, targets = normalised(batch.labelled.pictures, taught.preprocess), batch.labelled.targets
    answer = by_hand.network(space.largest())(pictures)
    total = F.cross_entropy(answer, targets, label_smoothing=RECIPE.label_smoothing)
    for spec in batch.specs:
        total = total - (answer.detach().softmax(1) * by_hand.network(spec)(pictures).log_softmax(1)).sum(1).mean()
    total.backward()
    for (name, found), expected in zip(supernet.named_parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-5, msg=name)
    assert sum(float(each.grad.norm()) for each in by_hand.parameters() if each.grad is not None) > 0.1


def test_the_loss_is_the_largest_networks():
    space, taught = sandwich("efficientformer")
    batch = next(taught.batches(0, Group()))
    supernet = MixedSupernet(space)
    heads = MixedSupernet(space).network(space.largest())(normalised(batch.labelled.pictures, taught.preprocess))
    losses = [F.cross_entropy(head, batch.labelled.targets, label_smoothing=0.1) for head in heads]
    assert taught.backward(supernet, batch) == pytest.approx(sum(losses).item() / 2, rel=1e-5)


def test_the_logits_of_a_mixture_learn_and_both_heads_too():
    space, taught = sandwich("efficientformer")
    supernet = MixedSupernet(space)
    taught.backward(supernet, next(taught.batches(0, Group())))
    assert len([*supernet.mixing.parameters()]) == len(space.mixed_choices)
    assert all((logits.grad != 0).any() for logits in supernet.mixing.logits)
    gradients = {name: each.grad for name, each in supernet.named_parameters()}
    assert (gradients["head.weight"] != 0).all()
    assert (gradients["head_dist.weight"] != 0).all()


def test_a_space_that_mixes_nothing_has_nothing_to_learn_but_weights():
    space, _ = sandwich("vanillanet")
    assert [*MixedSupernet(space).mixing.parameters()] == []


def test_a_pair_of_heads_answers_with_the_mean_of_its_logits():
    labels, teacher = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    expected = torch.tensor([[1.0, 0.0]]).softmax(1)
    torch.testing.assert_close(distribution((labels, teacher)), expected)
    torch.testing.assert_close(distribution(torch.tensor([[1.0, 0.0]])), expected)


def test_what_is_imitated_gets_no_gradients():
    assert not distribution(torch.zeros(1, 2, requires_grad=True)).requires_grad


def test_the_score_is_the_largest_networks_with_batch_norms_of_its_own():
    space, taught = sandwich("vanillanet")
    supernet = MixedSupernet(space)
    with torch.no_grad():
        for parameter in supernet.parameters():
            parameter.mul_(3)  # else all networks answer alike
    pictures = lesson(SIZES["vanillanet"])
    network = supernet.extract(space.largest())
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = 1.0  # all pictures are one batch
    inputs = normalised(floats(pictures.training.pictures), pictures.preprocess)
    network.train()(inputs)
    moved = pictures.jitter(floats(pictures.held_out.pictures), np.random.default_rng(0))
    right = network.eval()(normalised(moved, pictures.preprocess)).argmax(1).numpy() == pictures.held_out.labels
    assert taught.score(supernet).accuracy == right.mean()


def test_batch_norms_are_set_on_pictures_of_every_class():
    pictures = lesson(SIZES["vanillanet"], count=90)
    by_class = np.argsort(pictures.training.labels, kind="stable")
    known = replace(pictures.training, pictures=pictures.training.pictures[by_class])
    seen = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lesson_file, "Judge", lambda *given: seen.append(given))
        judge(MixedSupernet(sandwich("vanillanet")[0]), replace(pictures, training=known), 30)
    ((_, validation, calibration, _, jitter),) = seen
    found = {
        known.labels[by_class][at]
        for at in range(90)
        if any((known.pictures[at] == each).all() for each in calibration)
    }
    assert validation is pictures.held_out
    assert len(calibration) == 30
    assert jitter is pictures.jitter
    assert found == {0, 1, 2}
