"""The promise of something to learn: found first, so that a run can be told from another, and read when it is needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from edge.training.lesson import Lesson
from edge.training.order import TrainingOrder
from edge.training.start import Start


class Subject(ABC):
    """Pictures, with classes or with maps, that fit a kind of network."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Changes when any picture does, or what is to be said of it."""

    @abstractmethod
    def start(self, order: TrainingOrder) -> Start:
        """The network to be trained, with a head that fits. Raises `UsageError` for a network of another kind."""

    @abstractmethod
    def lesson(self, order: TrainingOrder, begun: Start) -> Lesson[Any]:
        """The pictures, read as the network takes them. Raises `UsageError` for a recipe that does not fit."""

    @abstractmethod
    def name(self, order: TrainingOrder) -> str:
        """What the run's card calls these pictures, so that they can be found again."""
