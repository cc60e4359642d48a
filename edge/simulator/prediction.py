"""How well the queues of one frame predict the first expert of the next, while the routing drifts from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from edge.errors import UsageError
from edge.simulator.chip import Chip
from edge.simulator.policies import Policy, Prediction, longest
from edge.simulator.program import Traffic
from edge.simulator.timeline import Timeline, simulate
from edge.simulator.workload import Network, Routing, Workload, zipf


@dataclass(frozen=True)
class Predicting:
    """The same frames without predictions (`waiting`) and with them (`predicting`), both simulated.

    `predictions` counts the MoE layers of all frames but the first; a hit is one whose predicted expert has tokens.
    """

    waiting: Timeline
    predicting: Timeline
    predictions: int
    hits: int

    @property
    def gain(self) -> float:
        """The share of the time of the frames after the first that predictions save; below 0 where they cost time."""
        before, after = (sum(each.frame_cycles[1:]) for each in (self.waiting, self.predicting))
        return 1 - after / before

    @property
    def hit_rate(self) -> float:
        return self.hits / self.predictions

    @property
    def wasted_bytes(self) -> int:
        """Bytes of weights that were fetched for experts without tokens."""
        return self.predicting.dram_bytes.get(Traffic.WASTED, 0)


def predicting(workload: Workload, chip: Chip, policy: Policy, tasks: Sequence[str]) -> Predicting:
    """A frame of each of `tasks`, one after another, with and without predictions.

    Raises `UsageError` for fewer than two frames, and for another policy than expert-reorder.
    """
    if len(tasks) < 2:
        raise UsageError("nothing predicts the first frame", hint="take two frames or more")
    waiting, guessing = (
        simulate(workload, chip, replace(policy, prediction=prediction), tasks)
        for prediction in (Prediction.NONE, Prediction.LAST_FRAME)
    )
    network = workload.network
    hits = [
        workload.routing(task).queues(layer, network.experts)[
            longest(workload.routing(before).queues(layer, network.experts))
        ]
        > 0
        for before, task in pairwise(tasks)
        for layer in range(network.moe_layers)
    ]
    return Predicting(waiting, guessing, len(hits), sum(hits))


def drifting(
    network: Network, start: Routing, *, share: float, exponent: float, frames: int, seed: int = 0
) -> Workload:
    """`frames` frames (its tasks) of a routing that drifts: in each frame and layer a share of the tokens is rerouted.

    A rerouted token goes where a fresh `zipf` routing sends it, whose popular experts are other ones in every frame
    and layer. Share 0 repeats `start`; share 1 is a cut to another scene in every frame. Raises `UsageError`.
    """
    if not 0 <= share <= 1 or frames < 1:
        raise UsageError(f"{frames} frames of which {share:g} drifts", hint="a share from 0 to 1, a frame or more")
    generator, routings = np.random.default_rng(seed), [start]
    for frame in range(1, frames):
        fresh = zipf(network, exponent=exponent, seed=seed + frame)
        layers = []
        for last, other in zip(routings[-1].layers, fresh.layers, strict=True):
            moved = generator.permutation(network.tokens)[: round(share * network.tokens)]
            routes = last.copy()
            routes[moved] = other[moved]
            layers.append(routes)
        routings.append(Routing(f"{start.origin}, {share:g} rerouted a frame", tuple(layers)))
    return Workload("drifting", network, tuple((f"frame {index}", each) for index, each in enumerate(routings)))
