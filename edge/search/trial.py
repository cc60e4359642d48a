"""What is known of a network that was tried, and what a strategy did with it, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How a network answers the validation pictures, moved and resized as in training, with the supernet's weights.

    `accuracy` is the share 0..1 whose class is right; `confidence` the geometric mean of the probability of the right class
    at the network's own best temperature, which tells apart networks that are right equally often.
    """

    accuracy: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Trial:
    """A network with its evaluation, its predicted latency in ms, and the parameters and MACs of its deployed form."""

    spec: ModelSpec
    evaluation: Evaluation
    predicted_ms: float
    params: int
    macs: int

    def fields(self) -> dict[str, Any]:
        """As JSON data."""
        sizes = {"predicted_ms": self.predicted_ms, "params": self.params, "macs": self.macs}
        return {**self.spec.fields(), **asdict(self.evaluation), **sizes}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Trial:
        """The inverse of `fields`. Raises `KeyError`, `TypeError` and `ValueError`."""
        return cls(
            ModelSpec(fields["space"], dict(fields["choices"])),
            Evaluation(float(fields["accuracy"]), float(fields["confidence"])),
            float(fields["predicted_ms"]),
            int(fields["params"]),
            int(fields["macs"]),
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to make a network faster: what would be done, what comes of it, and the confidence it costs per ms saved."""

    action: str
    trial: Trial
    cost_per_ms: float

    def fields(self) -> dict[str, Any]:
        """As JSON data."""
        return {"action": self.action, "trial": self.trial.fields(), "cost_per_ms": self.cost_per_ms}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Candidate:
        """The inverse of `fields`."""
        return cls(str(fields["action"]), Trial.from_fields(fields["trial"]), float(fields["cost_per_ms"]))


@dataclass(frozen=True, slots=True)
class Step:
    """One action of a path, counted from 0, which is where it starts; all that was considered; and, where the path was
    anchored, what the whole network takes on the device in ms."""

    action: str
    trial: Trial
    candidates: tuple[Candidate, ...] = ()
    measured_ms: float | None = None

    def fields(self) -> dict[str, Any]:
        """As JSON data."""
        candidates = [each.fields() for each in self.candidates]
        trial = self.trial.fields()
        return {"action": self.action, "trial": trial, "candidates": candidates, "measured_ms": self.measured_ms}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Step:
        """The inverse of `fields`."""
        measured = fields["measured_ms"]
        return cls(
            str(fields["action"]),
            Trial.from_fields(fields["trial"]),
            tuple(Candidate.from_fields(each) for each in fields["candidates"]),
            None if measured is None else float(measured),
        )
