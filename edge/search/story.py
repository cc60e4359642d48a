"""A search as it is told: what was asked, everything that was tried, the path, and what became of it, as plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from edge import whole
from edge.errors import UsageError
from edge.latency.tag import Tag
from edge.measurement import Source
from edge.search.budget import Budget
from edge.search.frontier import best
from edge.search.trial import Step, Trial
from edge.spec import Choice, ModelSpec
from edge.training.record import EpochMetrics

SETTINGS, STORY = "settings.json", "search.json"
"""The files in the folder of a search with what was asked, from its beginning, and with what came of it."""
WITHIN = 0.05
"""A network keeps its budget when it was measured at most this share above it (issue: within 5 %)."""


class Role(StrEnum):
    """Why a network was trained to the end: the search chose it, or scaling by hand gives it."""

    BEST = "best"
    UNIFORM = "uniform"


@dataclass(frozen=True, slots=True)
class Finished:
    """A network that was trained to the end, exported, verified and timed whole.

    `accuracy` is the share 0..1 of held-out pictures; `source` says where `measured_ms` came from; `path` is its run folder,
    and `verdict` how its file answers beside PyTorch.
    """

    name: str
    role: Role
    budget_ms: float
    spec: ModelSpec
    predicted_ms: float
    measured_ms: float
    source: Source
    accuracy: float
    params: int
    macs: int
    path: str
    verdict: str

    def keeps(self) -> bool:
        """Whether it was measured within its budget, or hardly above."""
        return self.measured_ms <= (1 + WITHIN) * self.budget_ms

    def fields(self) -> dict[str, Any]:
        """As JSON data."""
        return {**asdict(self), "spec": self.spec.fields()}

    @classmethod
    def from_fields(cls, given: Mapping[str, Any]) -> Finished:
        """The inverse of `fields`."""
        role, source = Role(given["role"]), Source(given["source"])
        return cls(**{**given, "role": role, "source": source, "spec": _spec(given["spec"])})


@dataclass(frozen=True, slots=True)
class Anchor:
    """A network that was timed whole on the device, beside what the latency table says of it, in ms."""

    spec: ModelSpec
    predicted_ms: float
    measured_ms: float
    source: Source

    @property
    def error(self) -> float:
        """As a share of the measured time; positive where the table says too much."""
        return self.predicted_ms / self.measured_ms - 1

    def fields(self) -> dict[str, Any]:
        """As JSON data."""
        return {**asdict(self), "spec": self.spec.fields()}

    @classmethod
    def from_fields(cls, given: Mapping[str, Any]) -> Anchor:
        """The inverse of `fields`."""
        return cls(**{**given, "source": Source(given["source"]), "spec": _spec(given["spec"])})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a budget: the network that the search chose, and the uniform one beside it; None while there is none."""

    budget: Budget
    best: Finished | None
    uniform: Finished | None

    @property
    def comparison(self) -> str:
        """How the one compares with the other, in words; empty unless both were timed, in the same way."""
        best, uniform = self.best, self.uniform
        if best is None or uniform is None or best.source is not uniform.source:
            return ""
        points, faster = 100 * (best.accuracy - uniform.accuracy), 1 - best.measured_ms / uniform.measured_ms
        right = f"{abs(points):.2f} points {'more' if points > 0 else 'less'} accurate" if points else "as accurate"
        time = f"{abs(faster):.1%} {'faster' if faster > 0 else 'slower'}" if faster else "as fast"
        return f"{right}, {time} ({best.source.value})"


@dataclass(frozen=True, slots=True)
class Story:
    """All that the page and the explanation of a search need; what a search under way has not got yet is empty.

    `reachable_ms` are the predicted latencies of the smallest and the largest network. `importance` is that of a `Lab`;
    where the supernet mixes nothing, `removal` says what confidence the largest network loses (0..1) when that choice
    alone is at its fastest. `uniform` are shares of the way to the largest network with what scaling by hand gives
    there. `block_ms` are the latencies of blocks by key, and `seconds` the time that each phase took, over all starts.
    """

    tag: Tag
    data: str
    strategy: str
    effort: str
    finish: str
    seed: int
    budgets: tuple[Budget, ...]
    reachable_ms: tuple[float, float]
    supernet: tuple[EpochMetrics, ...] = ()
    importance: Mapping[str, Mapping[Choice, float]] = field(default_factory=dict)
    removal: Mapping[str, float] = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    members: Mapping[str, Trial] = field(default_factory=dict)
    uniform: tuple[tuple[float, Trial], ...] = ()
    steps: tuple[Step, ...] = ()
    measured: tuple[Anchor, ...] = ()
    finished: tuple[Finished, ...] = ()
    evaluations_per_minute: float | None = None
    block_ms: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """One per budget, in their order."""
        found = {(each.budget_ms, each.role): each for each in self.finished}
        return tuple(
            Outcome(budget, found.get((budget.ms, Role.BEST)), found.get((budget.ms, Role.UNIFORM)))
            for budget in self.budgets
        )

    def chosen_spec(self, budget: Budget) -> ModelSpec | None:
        """The network that was trained for a budget; until then the best of what was tried; None where nothing fits."""
        trained = next(outcome.best for outcome in self.outcomes if outcome.budget == budget)
        tried = best(self.trials, budget) if trained is None else None
        return trained.spec if trained else tried.spec if tried else None

    def chosen(self, budget: Budget) -> Trial | None:
        """The trial of that network; None where it was not tried."""
        spec = self.chosen_spec(budget)
        return next((trial for trial in self.trials if trial.spec == spec), None)

    @property
    def measured_as(self) -> str:
        """What the times of whole networks are: measured, or what else the device says of them."""
        sources = (*(each.source for each in self.measured), *(each.source for each in self.finished))
        return " or ".join(sorted({source.value for source in sources})) or "measured"

    def fields(self) -> dict[str, Any]:
        """As JSON data."""
        nested = {
            "tag": self.tag.to_json(),
            "budgets": [asdict(budget) for budget in self.budgets],
            "supernet": [asdict(epoch) for epoch in self.supernet],
            "importance": {choice: list(values.items()) for choice, values in self.importance.items()},
            "trials": [trial.fields() for trial in self.trials],
            "members": {name: trial.fields() for name, trial in self.members.items()},
            "uniform": [{"share": share, "trial": trial.fields()} for share, trial in self.uniform],
            "steps": [step.fields() for step in self.steps],
            "measured": [each.fields() for each in self.measured],
            "finished": [each.fields() for each in self.finished],
        }
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**plain, **nested, "removal": dict(self.removal), "block_ms": dict(self.block_ms)}

    @classmethod
    def from_fields(cls, given: Mapping[str, Any]) -> Story:
        """The inverse of `fields`. Raises `UsageError` for what is no story."""
        try:
            return cls(**{**given, **_nested(given)})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"this is no search: {error!r}", hint="run the search again; it goes on") from None


def read(run: Path) -> Story:
    """The story in the folder of a search. Raises `UsageError` when there is none, or when it was changed by hand."""
    path = run / STORY
    try:
        return Story.from_fields(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        if (run / SETTINGS).exists():
            raise UsageError(
                f"the search in {run} has not tried its networks yet",
                hint="let it go on, or give the command that began it again",
            ) from None
        raise UsageError(f"{run} holds no search", hint="give a folder that edge search wrote") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}", hint="run the search again; it goes on") from None


def write(story: Story, run: Path) -> None:
    """Keep the story in the folder of its search, whole at any moment."""
    whole.write_text(run / STORY, json.dumps(story.fields(), allow_nan=False) + "\n")


def _nested(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values that JSON does not have."""
    least, most = given["reachable_ms"]
    return {
        "tag": Tag.from_json(given["tag"]),
        "budgets": tuple(Budget(**each) for each in given["budgets"]),
        "reachable_ms": (float(least), float(most)),
        "supernet": tuple(map(EpochMetrics.from_fields, given["supernet"])),
        "importance": {choice: _choices(pairs) for choice, pairs in given["importance"].items()},
        "trials": tuple(map(Trial.from_fields, given["trials"])),
        "members": {name: Trial.from_fields(each) for name, each in given["members"].items()},
        "uniform": tuple((float(each["share"]), Trial.from_fields(each["trial"])) for each in given["uniform"]),
        "steps": tuple(map(Step.from_fields, given["steps"])),
        "measured": tuple(map(Anchor.from_fields, given["measured"])),
        "finished": tuple(map(Finished.from_fields, given["finished"])),
    }


def _choices(pairs: Sequence[tuple[Choice, float]]) -> dict[Choice, float]:
    return {value: float(probability) for value, probability in pairs}


def _spec(given: Mapping[str, Any]) -> ModelSpec:
    return ModelSpec(given["space"], dict(given["choices"]))
