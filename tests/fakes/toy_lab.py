"""A lab whose answers are formulas, and which writes down what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from edge.search.budget import Budget
from edge.search.effort import Effort
from edge.search.strategy import Lab
from edge.search.trial import Evaluation, Step, Trial
from edge.space import SearchSpace
from edge.spec import Choice, ModelSpec

EFFORT = Effort(0, 0, 0, evaluations=60, population=12, anchor_every=3)


class ToyLab(Lab):
    """`ms` and `confidence` are of a network; on the device it takes `device` times its ms; its parameters are its ms in µs."""

    def __init__(
        self,
        space: SearchSpace,
        budgets: Sequence[Budget],
        *,
        ms: Callable[[ModelSpec], float],
        confidence: Callable[[ModelSpec], float],
        effort: Effort = EFFORT,
        seed: int = 0,
        importance: Mapping[str, Mapping[Choice, float]] | None = None,
        device: Callable[[ModelSpec], float] = lambda spec: 1.0,
    ) -> None:
        self.space, self.budgets, self.effort, self.seed = space, tuple(budgets), effort, seed
        self.importance = importance or {}
        self._ms, self._confidence, self._device = ms, confidence, device
        self.batches: list[tuple[ModelSpec, ...]] = []
        self.measured: list[ModelSpec] = []
        self.steps: list[Step] = []

    @property
    def trials(self) -> dict[ModelSpec, Trial]:
        """Everything evaluated, in order."""
        return {spec: self._trial(spec) for batch in self.batches for spec in batch}

    def predict_ms(self, specs: Sequence[ModelSpec]) -> tuple[float, ...]:
        return tuple(map(self._ms, specs))

    def evaluate(self, specs: Sequence[ModelSpec]) -> tuple[Trial, ...]:
        self.batches.append(tuple(specs))
        return tuple(map(self._trial, specs))

    def measure_ms(self, spec: ModelSpec) -> float:
        self.measured.append(spec)
        return self._ms(spec) * self._device(spec)

    def took(self, step: Step) -> None:
        self.steps.append(step)

    def _trial(self, spec: ModelSpec) -> Trial:
        self.space.check(spec)
        ms, confidence = self._ms(spec), self._confidence(spec)
        return Trial(spec, Evaluation(confidence, confidence), ms, round(1000 * ms), round(1000 * ms))
