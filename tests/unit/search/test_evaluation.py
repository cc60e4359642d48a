"""Judging a network: its own batch norms are calibrated first, and the answer is the same every time."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edge import plugins
from edge.models.randomise import randomise_statistics
from edge.preprocess import Preprocess
from edge.search.evaluation import Judge, calibrate, confidence
from edge.search.supernet import Supernet
from edge.search.trial import Evaluation
from edge.space import SearchSpace
from edge.spec import ModelSpec
from edge.training.augment import UPRIGHT, Jitter
from edge.training.data import Dataset

PREPROCESS = Preprocess(32, 32)
STILL = Jitter(0.0, 0.0, 0.0)
CLASSES = 4


@pytest.fixture(scope="module", params=["efficientformer", "efficientvit"])
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return plugins.space(request.param, (32, 32), CLASSES)


@pytest.fixture(scope="module")
def supernet(space: SearchSpace) -> Supernet:
    made = Supernet(space, 0)
    randomise_statistics(made, 1)
    return made


@pytest.fixture(scope="module")
def pictures() -> Dataset:
    draw = np.random.default_rng(0)
    shades = draw.integers(0, 256, (150, 4, 4, 3), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    return Dataset(shades, draw.integers(0, CLASSES, 150), tuple("abcd"))


@pytest.fixture
def judge(supernet: Supernet, pictures: Dataset) -> Judge:
    return Judge(supernet, pictures, pictures.pictures[:33], PREPROCESS, STILL)


def points(space: SearchSpace) -> list[ModelSpec]:
    return [space.smallest(), space.draw(Random(1)), space.draw(Random(2))]


def test_the_same_network_is_judged_the_same_twice(judge: Judge, space: SearchSpace) -> None:
    specs = points(space)
    assert [judge(spec) for spec in specs] == [judge(spec) for spec in reversed(specs)][::-1]


def test_it_counts_right_answers_and_how_sure_it_was_of_them(
    judge: Judge, space: SearchSpace, pictures: Dataset
) -> None:
    spec = space.draw(Random(3))
    inputs = torch.from_numpy(PREPROCESS.normalise(pictures.pictures))
    with torch.no_grad():
        logits = judge.calibrated(spec)(inputs).double()
    found = judge(spec)
    assert found.accuracy == (logits.argmax(1).numpy() == pictures.labels).mean()
    assert found.confidence == pytest.approx(confidence(logits, torch.from_numpy(pictures.labels)), rel=1e-4)
    assert 0 < found.confidence < 1


def test_confidence_is_the_largest_likelihood_at_any_temperature() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 4, generator=generator, dtype=torch.float64)
    labels = logits.argmax(1)
    labels[:20] = torch.randint(0, 4, (20,), generator=generator)
    temperatures = torch.logspace(-3, 3, 3001, base=2, dtype=torch.float64)
    likelihoods = [(logits / t).log_softmax(1).gather(1, labels[:, None]).mean().exp().item() for t in temperatures]
    assert confidence(logits, labels) == pytest.approx(max(likelihoods), rel=1e-5)
    assert confidence(2 * logits, labels) == pytest.approx(confidence(logits, labels), rel=1e-9)


def test_of_networks_without_a_mistake_the_one_with_the_clearer_answers_is_surer() -> None:
    labels = torch.arange(4).repeat(5)
    right = F.one_hot(labels, 4).double()
    assert 0.9 < confidence(0.5 * right, labels) < confidence(right, labels) < 1


def test_networks_are_judged_by_pictures_that_are_moved(
    supernet: Supernet, space: SearchSpace, pictures: Dataset, judge: Judge
) -> None:
    moving = Judge(supernet, pictures, pictures.pictures[:33], PREPROCESS, UPRIGHT)
    assert moving(space.largest()) == moving(space.largest()) != judge(space.largest())


def test_a_network_that_knows_is_judged_perfect(judge: Judge, space: SearchSpace, supernet: Supernet) -> None:
    spec = space.smallest()
    inputs = np.random.default_rng(5).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    answers = judge.calibrated(spec)(torch.from_numpy(PREPROCESS.normalise(inputs))).argmax(1).numpy()
    calibration = np.random.default_rng(0).integers(0, 256, (33, 32, 32, 3), dtype=np.uint8)
    other = Judge(supernet, Dataset(inputs, answers, tuple("abcd")), calibration, PREPROCESS, STILL)
    own = other.calibrated(spec)(torch.from_numpy(PREPROCESS.normalise(inputs))).argmax(1).numpy()
    told = Judge(supernet, Dataset(inputs, own, tuple("abcd")), calibration, PREPROCESS, STILL)(spec)
    assert told.accuracy == 1.0


def test_other_pictures_calibrate_a_network_differently(
    supernet: Supernet, space: SearchSpace, pictures: Dataset, judge: Judge
) -> None:
    dark = Judge(supernet, pictures, pictures.pictures[:33] // 4, PREPROCESS, STILL)
    assert dark(space.largest()) != judge(space.largest())


def test_calibrated_norms_have_the_statistics_of_the_pictures(
    judge: Judge, supernet: Supernet, space: SearchSpace, pictures: Dataset
) -> None:
    spec = space.smallest()
    network = judge.calibrated(spec)
    names = [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    first = network.get_submodule(names[0])
    before = network.get_submodule(names[0].replace("norm", "conv").replace(".bn", ".conv"))
    maps = before(torch.from_numpy(PREPROCESS.normalise(pictures.pictures[:33]))).detach()
    assert isinstance(first, nn.BatchNorm2d)
    torch.testing.assert_close(first.running_mean, maps.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(first.running_var, maps.transpose(0, 1).flatten(1).var(1), rtol=1e-4, atol=1e-5)


def test_a_calibrated_network_is_in_inference_mode_and_trains_as_any_other(judge: Judge, space: SearchSpace) -> None:
    network = judge.calibrated(space.draw(Random(1)))
    assert not any(module.training for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())
    momenta = {module.momentum for module in network.modules() if isinstance(module, nn.BatchNorm2d)}
    assert momenta == {0.1}


def test_its_weights_are_those_of_the_network_in_a_file(judge: Judge, space: SearchSpace) -> None:
    spec = space.draw(Random(6))
    network = judge.calibrated(spec)
    loaded = space.build(spec).eval()
    loaded.load_state_dict(network.state_dict())
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loaded(x), network(x), rtol=1e-5, atol=1e-5)


def test_judging_leaves_the_supernet_as_it_was(supernet: Supernet, space: SearchSpace, judge: Judge) -> None:
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    for spec in points(space):
        assert isinstance(judge(spec), Evaluation)
    after = supernet.state_dict()
    assert {*after} == {*before}
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert supernet.training


def test_a_network_without_batch_norms_is_left_as_it_is() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout(0.5))
    before = plain[0].weight.clone()
    calibrate(plain, (torch.randn(2, 3, 4, 4),))
    assert not plain.training
    assert torch.equal(plain[0].weight, before)
