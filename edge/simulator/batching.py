"""Frames of several tasks batched: the queues of a layer merged, so that an expert loads once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.errors import UsageError
from edge.simulator.chip import Chip
from edge.simulator.frames import batched_program
from edge.simulator.policies import Policy, Prediction
from edge.simulator.timeline import Timeline, simulate, timeline
from edge.simulator.workload import Workload


@dataclass(frozen=True)
class Batching:
    """The same frames one after another (`apart`) and as one batch (`together`), both simulated."""

    tasks: tuple[str, ...]
    apart: Timeline
    together: Timeline

    @property
    def gain(self) -> float:
        """The share of the time that batching saves."""
        return 1 - self.together.cycles / self.apart.cycles

    @property
    def first_frame_delay(self) -> int:
        """Cycles by which the first result comes later: all results of a batch come at its end."""
        return self.together.cycles - self.apart.frame_cycles[0]


def batching(workload: Workload, chip: Chip, policy: Policy, tasks: Sequence[str]) -> Batching:
    """A frame of each of `tasks` apart and together; a task named twice gives two frames of it.

    Raises `UsageError` for fewer than two, for a policy other than expert-reorder without predictions, and for a batch that
    does not fit.
    """
    if len(tasks) < 2:
        raise UsageError(f"a batch of {len(tasks)} frames", hint="name two tasks or more, or one task twice")
    if policy.prediction is not Prediction.NONE:
        raise UsageError("a lone batch has no last frame to predict from", hint="leave the prediction out")
    together = timeline(batched_program(workload, chip, policy, [tasks]), chip)
    return Batching(tuple(tasks), simulate(workload, chip, policy, tasks), together)
