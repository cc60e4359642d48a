"""The training loop: the same command gives the same weights, to the bit, however often it is killed and run again."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from edge.errors import UsageError, WeightsError
from edge.models.vanillanet import leak_at
from edge.training.average import Average
from edge.training.lesson import Batch, Lesson
from edge.training.parallel import Group
from edge.training.recipe import TrainingRecipe
from edge.training.record import Checkpoint, EpochMetrics, Record
from edge.training.score import Score
from edge.training.watch import Watcher

HALVINGS = 4
"""How often a run that diverges begins its epoch again at half the rate, before it gives up: ours."""


class DivergedError(Exception):
    """The loss of a step, or its gradients, are no finite numbers."""


@runtime_checkable
class Leaky(Protocol):
    """A network that is trained deep: its extra activations become linear during training (VanillaNet)."""

    def set_leak(self, value: float) -> None:
        """0: ReLU; 1: linear."""


class Trainee:
    """A network, its average and its optimiser, and how often their learning rate was halved: all that training changes."""

    def __init__(self, network: nn.Module, recipe: TrainingRecipe, group: Group) -> None:
        self.network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.average = Average(network)
        self.optimiser = torch.optim.AdamW(parameter_groups(network, recipe.weight_decay), lr=recipe.lr)
        self.group = group
        self.halvings = 0

    def states(self) -> dict[str, dict[str, Any]]:
        """The state dicts that a checkpoint keeps."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rate": {"halvings": self.halvings},
        }

    def load(self, states: Mapping[str, Any]) -> None:
        """Take up the states of a checkpoint; in those of earlier versions no rate is halved.

        Raises `WeightsError` when they are another network's.
        """
        try:
            self.network.load_state_dict(states["network"])
            self.average.network.load_state_dict(states["average"])
            self.optimiser.load_state_dict(states["optimiser"])
            self.halvings = int(states.get("rate", {"halvings": 0})["halvings"])
        except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            reason = str(error).partition("\n")[0]
            raise WeightsError(f"the checkpoint is not this network's: {reason}", hint="give another --out") from None

    def resume(self, record: Record) -> tuple[EpochMetrics, ...]:
        """Take up the last complete checkpoint of `record`; returns the epochs that it had, none where there is none."""
        if (checkpoint := record.checkpoint()) is None:
            return ()
        self.load(checkpoint.states)
        return checkpoint.history

    def leak(self, value: float) -> None:
        """Make the leaky activations of a deeply trained network linear by `value`, 0 to 1; others have none."""
        for network in (self.network, self.average.network):
            if isinstance(network, Leaky):
                network.set_leak(value)

    def learn(self, batch: Batch, lesson: Lesson[Batch], *, lr: float, ema_decay: float) -> float:
        """One step of the optimiser and of the average; returns the loss.

        Raises `DivergedError` in every process of the group when one cannot go on.
        """
        for settings in self.optimiser.param_groups:
            settings["lr"] = lr
        self.optimiser.zero_grad()
        loss = lesson.backward(self.network, batch)
        self.group.average_gradients(self.network.parameters())
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), lesson.recipe.clip_norm)
        if self.group.any(not math.isfinite(loss + norm.item())):
            raise DivergedError
        self.optimiser.step()
        self.average.follow(self.network, ema_decay)
        return loss


def fit(
    trainee: Trainee,
    lesson: Lesson[Any],
    history: tuple[EpochMetrics, ...],
    record: Record,
    group: Group,
    watcher: Watcher,
) -> tuple[EpochMetrics, ...]:
    """Train the epochs that `history` lacks, with a checkpoint after each; returns every epoch's metrics.

    When the loss is no number, the epoch begins again from the last checkpoint at half the learning rate, which stays so.
    Raises `UsageError` when that has not helped `HALVINGS` times.
    """
    steps = lesson.steps(group)
    untrained = {} if history else deepcopy(trainee.states())  # until there is a checkpoint
    with repeatable():
        watcher.starts(lesson.recipe.epochs * steps, len(history) * steps)
        while len(history) < lesson.recipe.epochs:
            try:
                metrics = _epoch(trainee, lesson, len(history), group, watcher)
            except DivergedError:
                _roll_back(trainee, record.checkpoint() or Checkpoint((), untrained), lesson.recipe)
                watcher.starts(lesson.recipe.epochs * steps, len(history) * steps)
                if group.leads:
                    watcher.rolled_back(len(history) + 1, lesson.recipe.lr / 2**trainee.halvings)
                continue
            history, untrained = (*history, metrics), {}
            if group.leads:
                record.save(Checkpoint(history, trainee.states()))
                watcher.measured(metrics)
    return history


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for the matrices and kernels; none for norms, biases, bias tables and layer scales."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        is_kernel = name.rpartition(".")[2] == "weight" and parameter.ndim >= 2
        (decayed if is_kernel else free).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


@contextmanager
def repeatable() -> Iterator[None]:
    """Let PyTorch take only algorithms that give the same sum every time, where it has them."""
    before, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)


def _epoch(trainee: Trainee, lesson: Lesson[Any], epoch: int, group: Group, watcher: Watcher) -> EpochMetrics:
    started = time.monotonic()
    recipe, steps = lesson.recipe, lesson.steps(group)
    trainee.leak(leak_at(epoch, recipe.leak_epochs))
    trainee.network.train()
    losses = []
    for step, batch in enumerate(lesson.batches(epoch, group), start=epoch * steps):
        lr = recipe.learning_rate(step, steps) / 2**trainee.halvings
        losses.append(trainee.learn(batch, lesson, lr=lr, ema_decay=recipe.ema_decay(step)))
        watcher.stepped(losses[-1])
    score = lesson.score(trainee.average.network) if group.leads else Score(None)
    seconds = round(time.monotonic() - started, 3)
    return EpochMetrics(epoch + 1, sum(losses) / steps, score.accuracy, lr, seconds, score.metrics)


def _roll_back(trainee: Trainee, good: Checkpoint, recipe: TrainingRecipe) -> None:
    """Take up the last good states, at half the rate. Raises `UsageError` when it was halved often enough."""
    halvings = trainee.halvings + 1
    if halvings > HALVINGS:
        raise UsageError(
            f"the loss became no number in epoch {len(good.history) + 1}, though the rate was halved {HALVINGS} times",
            hint=f"lower --lr, which is {recipe.lr}, or look for what is wrong with the pictures",
        )
    trainee.load(good.states)
    trainee.halvings = halvings
