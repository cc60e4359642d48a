"""A workload is what the network says, or refused with what would work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from edge.errors import UnknownNameError, UsageError
from edge.models.catalog import entry
from edge.models.m3vit import build
from edge.models.m3vit_config import VARIANTS, backbone_macs
from edge.simulator.chip import chip
from edge.simulator.policies import Kind, policy
from edge.simulator.timeline import simulate
from edge.simulator.workload import Routing, Workload, histogram, recorded, uniform, zipf
from edge.simulator.workloads import EDGE_MOE, TOY, TOY_ROUTES, rerouted, workload

FILE = """
[network]
tokens = 6
dim = 8
heads = 1
hidden = 32
experts = 4
top_k = 2
expert_hidden = 16
moe = [true]
scope = "experts"

[[task]]
name = "seg"
routing = "uniform"
"""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tokens": 0}, "tokens is 0"),
        ({"top_k": 5}, "top_k 5 is more than the 4 experts"),
        ({"top_k": 0}, "top_k is 0"),
        ({"heads": 3}, "3 heads do not divide dim 8"),
        ({"moe": ()}, "no blocks"),
        ({"dim": -8}, "dim is -8"),
    ],
)
def test_a_network_that_cannot_be_is_refused(change, said):
    with pytest.raises(UsageError, match=said):
        replace(TOY, **change)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ((), "has 0 MoE layers, the network 1"),
        ((np.zeros((5, 2), int),), r"shape \(6, 2\)"),
        ((np.array([[0, 4]] * 6),), "there is no expert 4"),
        ((np.array([[0, -1]] * 6),), "there is no expert -1"),
        ((np.array([[0, 1]] * 5 + [[2, 2]]),), "token 5 goes to one expert twice"),
        ((np.array([[0.0, 1.0]] * 6),), "whole numbers"),
    ],
)
def test_a_routing_of_another_network_is_refused(layers, said):
    with pytest.raises(UsageError, match=said):
        Workload("odd", TOY, (("seg", Routing("recorded", layers)),))


def test_a_made_up_token_order_says_so():
    assert "made up" in histogram(TOY, (3, 3, 3, 3)).origin


def test_uniform_queues_differ_by_at_most_one():
    lengths = uniform(EDGE_MOE).queues(0, 16)
    assert (sum(lengths), min(lengths), max(lengths)) == (258, 16, 17)


def test_a_zipf_routing_is_repeated_by_its_seed_and_skewed_by_its_exponent():
    one, same = (zipf(EDGE_MOE, exponent=1.5, seed=3) for _ in range(2))
    assert all(np.array_equal(left, right) for left, right in zip(one.layers, same.layers, strict=True))
    assert max(one.queues(0, 16)) > max(zipf(EDGE_MOE, exponent=0, seed=3).queues(0, 16))


@pytest.mark.parametrize("exponent", [-1, 11, float("nan")])
def test_an_impossible_zipf_exponent_is_refused(exponent):
    with pytest.raises(UsageError, match="impossible"):
        zipf(TOY, exponent=exponent)


@pytest.mark.parametrize("lengths", [(6, 6, 0, 0), (3, 3, 3, 3), (6, 2, 2, 2), (5, 4, 3, 0)])
def test_a_histogram_is_met_whenever_it_can_be(lengths):
    work = Workload("met", TOY, (("seg", histogram(TOY, lengths)),))
    assert work.routing("seg").queues(0, 4) == lengths


@pytest.mark.parametrize("lengths", [(7, 5, 0, 0), (6, 6), (6, 6, 1, 0), (-1, 6, 6, 1)])
def test_a_histogram_that_cannot_be_met_is_refused(lengths):
    with pytest.raises(UsageError, match="histogram"):
        histogram(TOY, lengths)


def test_a_recorded_routing_is_read_back(tmp_path):
    np.savez(tmp_path / "seen.npz", layer_0=np.array(TOY_ROUTES))
    assert recorded(tmp_path / "seen.npz").layers[0].tolist() == [list(row) for row in TOY_ROUTES]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04broken"])
def test_a_damaged_routing_is_refused(tmp_path, content):
    (tmp_path / "seen.npz").write_bytes(content)
    with pytest.raises(UsageError, match="not a recorded routing"):
        recorded(tmp_path / "seen.npz")


def test_a_routing_with_other_names_is_refused(tmp_path):
    np.savez(tmp_path / "seen.npz", first=np.array(TOY_ROUTES))
    with pytest.raises(UsageError, match="arrays first"):
        recorded(tmp_path / "seen.npz")


def test_a_workload_file(tmp_path):
    np.savez(tmp_path / "seen.npz", layer_0=np.array(TOY_ROUTES))
    more = '[[task]]\nname = "depth"\nrouting = "recorded"\nfile = "seen.npz"\n'
    more += '[[task]]\nname = "edges"\nrouting = "histogram"\nlengths = [6, 4, 2, 0]\n'
    (tmp_path / "mine.toml").write_text(FILE + more)
    read = workload(str(tmp_path / "mine.toml"))
    assert read.task_names == ("seg", "depth", "edges")
    assert [read.routing(task).queues(0, 4) for task in read.task_names] == [(3,) * 4, (5, 4, 3, 0), (6, 4, 2, 0)]


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        ("tokens = 6", "tokens = 0", "tokens is 0"),
        ("top_k = 2", "top_k = 9", "more than the 4 experts"),
        ("top_k = 2", "topk = 2", "unknown key 'topk'"),
        ('"uniform"', '"random"', "'random'"),
        ('"uniform"', '"recorded"', "not a recorded routing"),
        ("[[task]]", "[task]", "not a list"),
        ("[network]", "[network", "not TOML"),
    ],
)
def test_a_workload_file_with_a_mistake_is_refused(tmp_path, written, instead, said):
    (tmp_path / "mine.toml").write_text(FILE.replace(written, instead, 1))
    with pytest.raises(UsageError, match=said):
        workload(str(tmp_path / "mine.toml"))


def test_an_unknown_workload_or_task_names_the_nearest():
    with pytest.raises(UnknownNameError) as refused:
        workload("edge_moe")
    assert "edge-moe" in refused.value.hint
    with pytest.raises(UnknownNameError) as refused:
        workload("edge-moe").routing("task2")
    assert "task0" in refused.value.hint


def test_rerouting_gives_every_task_the_same_routing():
    work = rerouted(workload("edge-moe"), "zipf:1.2")
    assert {work.routing(task).origin for task in work.task_names} == {"zipf:1.2"}


@pytest.mark.parametrize("text", ["random", "zipf:", "zipf:x", "uniform:3", "none.npz"])
def test_a_routing_that_does_not_exist_is_refused(text):
    with pytest.raises(UsageError):
        rerouted(workload("toy"), text)


def test_m3vit_tiny_has_the_sizes_of_edge_moe():
    assert workload("m3vit_tiny").network == EDGE_MOE


@pytest.mark.parametrize("name", ["m3vit_mini", "m3vit_tiny", "m3vit_small", "m3vit_base"])
def test_the_simulator_counts_the_macs_of_the_network(name):
    roomy = chip("zcu104")
    roomy = replace(roomy, memory=replace(roomy.memory, uram_bytes=10**8))
    counted = simulate(workload(name), roomy, policy(roomy, Kind.EXPERT_REORDER), ("seg",)).macs
    assert counted == backbone_macs(VARIANTS[name], entry(name).image_size)


def test_one_pathway_has_one_task():
    assert workload("m3vit_tiny_depth").task_names == ("depth",)


def test_the_routing_of_the_network_itself_is_taken_as_it_is(tmp_path):
    """What `M3ViT.trace` gives, saved as layer_0, layer_1, …"""
    network = build("m3vit_mini").eval()
    traced = network.trace(torch.zeros(1, 3, *network.image_size), "depth")
    np.savez(tmp_path / "seen.npz", **{f"layer_{index}": layer.numpy() for index, layer in enumerate(traced)})
    work = rerouted(workload("m3vit_mini"), str(tmp_path / "seen.npz"))
    assert [layer.tolist() for layer in work.routing("depth").layers] == [layer.tolist() for layer in traced]
