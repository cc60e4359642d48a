"""The promise of a search strategy, and what it works with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from edge.search.budget import Budget
from edge.search.effort import Effort
from edge.search.trial import Step, Trial
from edge.space import SearchSpace
from edge.spec import Choice, ModelSpec


class Lab(ABC):
    """What a strategy may ask. Answers depend on the question and on the seed alone, so a search that is begun again, with
    what it had learned still in the storage, takes the same way.

    `importance`: for each choice that the supernet mixes, how probable it holds each value (0..1); empty where nothing is
    mixed. `budgets` begin with the largest latency.
    """

    space: SearchSpace
    budgets: tuple[Budget, ...]
    effort: Effort
    seed: int
    importance: Mapping[str, Mapping[Choice, float]]

    @abstractmethod
    def predict_ms(self, specs: Sequence[ModelSpec]) -> tuple[float, ...]:
        """The latency of each network by the table, in ms; blocks that the table does not know are measured first."""

    @abstractmethod
    def evaluate(self, specs: Sequence[ModelSpec]) -> tuple[Trial, ...]:
        """Try each network with the supernet's weights, all workers at once; what was tried before is remembered."""

    @abstractmethod
    def measure_ms(self, spec: ModelSpec) -> float:
        """The latency of the whole network, exported and timed on the device beside a network of the table, in ms."""

    @abstractmethod
    def took(self, step: Step) -> None:
        """Tell whoever watches that a step was taken."""


class Strategy(ABC):
    """One way to look for networks. A file of `edge/search/strategies` defines exactly one subclass; its name is the file's."""

    @property
    def name(self) -> str:
        """The file's name: what the user types after `--strategy`."""
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def search(self, lab: Lab) -> tuple[Step, ...]:
        """Evaluate networks until the budgets are served; everything evaluated counts. Returns the path, if it is one.

        Raises `DeviceError` when the device is gone, or disagrees with its table.
        """
