"""The lab of a search: it tries networks with the supernet's weights, prices them by the table, and remembers both."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from edge.search.budget import Budget
from edge.search.effort import Effort
from edge.search.evaluation import Judge
from edge.search.latencies import Latencies
from edge.search.sizes import sizes
from edge.search.strategy import Lab
from edge.search.trial import Evaluation, Step, Trial
from edge.search.trials import Trials
from edge.search.watch import SearchWatcher
from edge.space import SearchSpace
from edge.spec import Choice, ModelSpec


class Workbench(Lab):
    """A lab whose evaluations lie in a storage that other workers share, and whose latencies come from a device."""

    def __init__(
        self,
        space: SearchSpace,
        budgets: tuple[Budget, ...],
        effort: Effort,
        seed: int,
        importance: Mapping[str, Mapping[Choice, float]],
        *,
        judge: Judge,
        trials: Trials,
        latencies: Latencies,
        watcher: SearchWatcher,
    ) -> None:
        self.space, self.budgets, self.effort, self.seed, self.importance = space, budgets, effort, seed, importance
        self._judge, self._trials, self._latencies, self._watcher = judge, trials, latencies, watcher
        self._tried: dict[ModelSpec, Trial] = {}
        self._judged, self._judging_s = 0, 0.0

    @property
    def tried(self) -> tuple[Trial, ...]:
        """Every network that was evaluated, in the order in which they were first asked for."""
        return tuple(self._tried.values())

    @property
    def evaluations_per_minute(self) -> float | None:
        """Of the networks that were tried since this process began, without the time for latencies; None before the first."""
        return 60 * self._judged / self._judging_s if self._judged else None

    def predict_ms(self, specs: Sequence[ModelSpec]) -> tuple[float, ...]:
        return self._latencies.predict_ms(specs)

    def evaluate(self, specs: Sequence[ModelSpec]) -> tuple[Trial, ...]:
        fresh = [spec for spec in dict.fromkeys(specs) if spec not in self._tried]
        latencies = self.predict_ms(fresh)
        found = self._timed(fresh)
        for spec, predicted_ms in zip(fresh, latencies, strict=True):
            params, macs = sizes(self.space, spec)
            self._tried[spec] = Trial(spec, found[spec], predicted_ms, params, macs)
        self._watcher.tried(self.tried)
        return tuple(self._tried[spec] for spec in specs)

    def _timed(self, specs: Sequence[ModelSpec]) -> Mapping[ModelSpec, Evaluation]:
        known = self._trials.known()
        started = time.monotonic()
        found = self._trials.evaluate(specs, self._judge)
        if new := sum(spec not in known for spec in specs):
            self._judged += new
            self._judging_s += time.monotonic() - started
        return found

    def measure_ms(self, spec: ModelSpec) -> float:
        (ms,) = self._latencies.measure_ms((spec,))
        return ms

    def took(self, step: Step) -> None:
        self._watcher.took(step)
