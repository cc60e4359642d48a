"""The first expert of a layer fetched before its gate: right guesses hide a load, wrong ones cost what they cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.simulator.chip import chip
from edge.simulator.policies import Kind, Order, Prediction, longest, policy
from edge.simulator.prediction import drifting, predicting
from edge.simulator.program import Traffic
from edge.simulator.timeline import simulate
from edge.simulator.workload import Workload, histogram, zipf
from edge.simulator.workloads import workload
from tests.fakes.random_designs import triples
from tests.unit.simulator.test_properties import (
    accounts_for_every_cycle,
    keeps_within_its_memory,
    lies_between_the_bounds,
    starts_each_job_as_soon_as_it_may,
)

TOY = chip("toy")
REORDER = policy(TOY, Kind.EXPERT_REORDER)
TWO_LAYERS = replace(workload("toy").network, moe=(True, True))
ROUTES = workload("toy").routing("task0").layers * 2
SAME = replace(workload("toy").routing("task0"), layers=ROUTES)
WITHOUT_EXPERT_0 = replace(SAME, layers=(ROUTES[0], histogram(TWO_LAYERS, (0, 4, 4, 4)).layers[0]))
TOYS = Workload("toys", TWO_LAYERS, (("same", SAME), ("other", WITHOUT_EXPERT_0)))
BOARD, EDGE_MOE = chip("zcu102_edgemoe"), workload("edge-moe")


def test_a_right_guess_hides_the_load_behind_the_last_expert_of_the_layer_before():
    """A buffer is free from cycle 208 on: expert 0 of the second layer loads until 272 and not from 256 until 320."""
    found = predicting(TOYS, TOY, REORDER, ("same", "same"))
    assert found.waiting.frame_cycles == (512, 512)
    assert found.predicting.frame_cycles == (512, 464)
    assert (found.hits, found.predictions, found.wasted_bytes, found.gain) == (2, 2, 0, 48 / 512)
    assert found.predicting.dram_bytes == found.waiting.dram_bytes


def test_a_wrong_guess_costs_its_bytes_and_the_time_until_it_has_arrived():
    """Expert 0 loads until 272 for nobody; expert 1 loads after it and not from 256 on."""
    found = predicting(TOYS, TOY, REORDER, ("same", "other"))
    assert found.waiting.frame_cycles == (512, 512)
    assert found.predicting.frame_cycles == (512, 528)
    assert (found.hits, found.predictions, found.wasted_bytes, found.gain) == (1, 2, 512, -16 / 512)


def test_on_edge_moe_the_first_load_of_every_layer_disappears_behind_the_gate():
    """A matrix takes 147,456 / 16 bytes a cycle and 64 cycles of latency: 9,280 cycles in each of six layers."""
    found = predicting(EDGE_MOE, BOARD, policy(BOARD, Kind.EXPERT_REORDER), ("task0", "task0"))
    assert found.waiting.frame_cycles[1] - found.predicting.frame_cycles[1] == 6 * 9280
    assert found.hit_rate == 1


def test_the_first_frame_has_no_prediction():
    guessing = replace(REORDER, prediction=Prediction.LAST_FRAME)
    assert simulate(TOYS, TOY, guessing, ("same",)).spans == simulate(TOYS, TOY, REORDER, ("same",)).spans
    with pytest.raises(UsageError, match="nothing predicts"):
        predicting(TOYS, TOY, REORDER, ("same",))


def test_the_longest_queue_is_predicted_and_of_several_the_first():
    assert longest((3, 5, 5, 0)) == 1


@pytest.mark.parametrize("order", [*Order])
def test_the_predicted_expert_runs_first_in_every_order(order):
    guessing = replace(REORDER, prediction=Prediction.LAST_FRAME, order=order)
    jobs = simulate(TOYS, TOY, guessing, ("other", "other")).program.jobs
    names = [job.name for job in jobs if job.frame == 1 and job.name.startswith("expert")]
    assert names[3] == "expert 1"  # of three experts of 4 tokens each
    assert sorted(names[3:]) == ["expert 1", "expert 2", "expert 3"]


@settings(max_examples=250, deadline=None, derandomize=True, database=None)
@given(triples(kinds=(Kind.EXPERT_REORDER,)))
def test_bounds_accounts_memory_and_order_hold_with_predictions(drawn):
    work, on, way = drawn
    tasks = ("a", "b", "b", "a")
    found = predicting(work, on, way, tasks)
    lies_between_the_bounds(found.predicting)
    accounts_for_every_cycle(found.predicting)
    keeps_within_its_memory(found.predicting)
    starts_each_job_as_soon_as_it_may(found.predicting)
    assert found.predicting.macs == found.waiting.macs
    useful = {traffic: size for traffic, size in found.predicting.dram_bytes.items() if traffic is not Traffic.WASTED}
    assert useful == found.waiting.dram_bytes
    assert (found.wasted_bytes > 0) == (found.hits < found.predictions)
    assert found.predicting.spans == predicting(work, on, way, tasks).predicting.spans


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.floats(0, 1), st.integers(0, 999))
def test_drift_reroutes_its_share_of_the_tokens_at_most(share, seed):
    network = EDGE_MOE.network
    start = zipf(network, exponent=1)
    drifted = drifting(network, start, share=share, exponent=1, frames=2, seed=seed)
    for before, after in zip(start.layers, drifted.routing("frame 1").layers, strict=True):
        assert np.any(before != after, axis=1).sum() <= round(share * network.tokens)


def test_routing_that_does_not_drift_repeats_and_a_seed_repeats_its_drift():
    network, start = EDGE_MOE.network, EDGE_MOE.routing("task0")
    still = drifting(network, start, share=0, exponent=3, frames=3)
    np.testing.assert_array_equal(still.routing("frame 2").layers, start.layers)
    once, again = (drifting(network, start, share=0.5, exponent=3, frames=3, seed=1) for _ in range(2))
    np.testing.assert_array_equal(once.routing("frame 2").layers, again.routing("frame 2").layers)


def test_cuts_between_scenes_are_harder_to_predict_than_slow_drift():
    network, start = EDGE_MOE.network, EDGE_MOE.routing("task0")
    slow, cuts = (
        predicting(work, BOARD, policy(BOARD, Kind.EXPERT_REORDER), work.task_names)
        for work in (drifting(network, start, share=share, exponent=3, frames=5) for share in (0.1, 1))
    )
    assert cuts.hit_rate < slow.hit_rate == 1
    assert cuts.wasted_bytes == (cuts.predictions - cuts.hits) * 294_912
    assert slow.wasted_bytes == 0


@pytest.mark.parametrize(("share", "frames"), [(-0.1, 2), (1.1, 2), (float("nan"), 2), (0.5, 0)])
def test_an_impossible_drift_is_refused(share, frames):
    with pytest.raises(UsageError):
        drifting(EDGE_MOE.network, EDGE_MOE.routing("task0"), share=share, exponent=1, frames=frames)


@pytest.mark.parametrize("kind", [Kind.TOKEN_LRU, Kind.RESIDENT, Kind.TASK_MODEL_SWAP])
def test_only_reordered_experts_are_predicted(kind):
    with pytest.raises(UsageError, match="predicts no expert"):
        policy(TOY, kind, prediction=Prediction.LAST_FRAME)
