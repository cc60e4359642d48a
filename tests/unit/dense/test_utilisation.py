"""Visits of experts are counted once each, and the simulator takes what was recorded."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge.dense.gallery import Gallery
from edge.dense.routing import leave_routing
from edge.dense.utilisation import Utilisation, utilisation
from edge.models.m3vit import build
from edge.models.network import seeded
from edge.preprocess import Preprocess
from edge.simulator.workload import recorded
from edge.simulator.workloads import from_file

SIZE = (32, 48)
TOKENS = 1 + 2 * 3


@pytest.fixture(scope="module")
def network():
    with seeded(0):
        return build("m3vit_mini", image_size=SIZE).eval()


@pytest.fixture(scope="module")
def pictures():
    return Gallery(np.random.default_rng(0).integers(0, 256, (5, *SIZE, 3)).astype(np.uint8), {})


@pytest.fixture(scope="module")
def used(network, pictures):
    return utilisation(network, pictures, Preprocess(*SIZE))


def test_every_token_makes_k_visits_in_every_layer_of_every_task(used):
    assert used.visits.shape == (5, 2, 8)
    assert used.tokens == 5 * TOKENS
    assert (used.visits.sum(axis=-1) == 2 * used.tokens).all()


def test_the_visits_are_those_of_the_trace(network, pictures, used):
    inputs = torch.from_numpy(Preprocess(*SIZE).normalise(pictures.pictures))
    traced = [network.trace(inputs[index : index + 1], "depth")[1] for index in range(5)]
    row = network.tasks.index("depth")
    assert used.visits[row, 1].tolist() == torch.bincount(torch.cat(traced).flatten(), minlength=8).tolist()


def test_evenly_used_experts_are_balanced_and_one_for_all_is_not():
    visits = np.array([[[3, 3, 3, 3], [12, 0, 0, 0]]])
    found = Utilisation(("seg",), visits, tokens=12, top_k=1)
    assert found.imbalance.tolist() == [[0.0, 4.0]]
    assert found.unused.tolist() == [[0, 3]]
    assert found.shares[0].tolist() == [[0.25] * 4, [1.0, 0, 0, 0]]


def test_tasks_overlap_by_the_smaller_shares():
    visits = np.array([[[4, 4, 0, 0]], [[0, 6, 2, 0]]])
    (overlap,) = Utilisation(("seg", "depth"), visits, tokens=8, top_k=1).overlap
    assert overlap.tolist() == [[1.0, 0.5], [0.5, 1.0]]


def test_the_simulator_takes_the_recorded_routing_of_each_task(network, pictures, tmp_path):
    leave_routing(network, pictures, Preprocess(*SIZE), tmp_path)
    work = from_file(tmp_path / "workload.toml")
    assert work.task_names == network.tasks
    first = torch.from_numpy(Preprocess(*SIZE).normalise(pictures.pictures[:1]))
    for task in network.tasks:
        expected = [layer.tolist() for layer in network.trace(first, task)]
        assert [layer.tolist() for layer in work.routing(task).layers] == expected
        assert sum(work.routing(task).queues(0, 8)) == 2 * TOKENS
    alone = recorded(tmp_path / "routing-seg.npz")
    alone.check(work.network)


def test_the_page_stands_alone_and_shows_every_layer_and_task(network, pictures, tmp_path):
    leave_routing(network, pictures, Preprocess(*SIZE), tmp_path)
    page = (tmp_path / "routing.html").read_text()
    assert page.count("<svg") == 2 + 1  # two layers of experts, and the overlap of tasks
    assert all(task in page for task in network.tasks)
    assert "src=" not in page
    assert 'href="http' not in page


def test_the_same_network_leaves_the_same_bytes(network, pictures, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "run").mkdir(parents=True)
        leave_routing(network, pictures, Preprocess(*SIZE), tmp_path / name / "run")
    files = sorted(path.name for path in (tmp_path / "one" / "run").iterdir())
    assert len(files) == 5 + 2
    for name in files:
        assert (tmp_path / "one/run" / name).read_bytes() == (tmp_path / "two/run" / name).read_bytes()
