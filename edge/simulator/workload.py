"""What a chip is given: the sizes of a network and, per task, which token goes to which expert."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.simulator.tables import Count, Natural, check
from edge.suggest import unknown

Experts = NDArray[np.int64]
"""Of one MoE layer: (N, k) expert indices, tokens in order, each token's experts in the order of their scores."""


class Scope(StrEnum):
    """What is simulated: a whole frame of the backbone, or its expert layers alone."""

    FRAME = "frame"
    EXPERTS = "experts"


@dataclass(frozen=True, slots=True)
class Network:
    """A vision transformer by its sizes; `moe` says which blocks are mixtures. Decoders are not part of it.

    `tokens` counts the class token; `hidden` is the width of a dense MLP and `expert_hidden` of one expert;
    `patch_inputs` is the number of pixel values of a patch (16 × 16 × 3), one byte each.
    """

    tokens: Count
    dim: Count
    heads: Count
    hidden: Count
    experts: Count
    top_k: Count
    expert_hidden: Count
    moe: tuple[bool, ...]
    patch_inputs: Natural = 768
    scope: Scope = Scope.FRAME

    def __post_init__(self) -> None:
        """Refuse sizes that no network has. Raises `UsageError`."""
        check(self, "network")
        if not self.moe:
            raise UsageError("network: it has no blocks", hint="moe lists true or false for each block")
        if self.dim % self.heads:
            raise UsageError(f"network: {self.heads} heads do not divide dim {self.dim}", hint="change one of them")
        if self.top_k > self.experts:
            raise UsageError(
                f"network: top_k {self.top_k} is more than the {self.experts} experts",
                hint=f"give top_k of at most {self.experts}",
            )

    @property
    def moe_layers(self) -> int:
        return sum(self.moe)

    @property
    def visits(self) -> int:
        """(token, expert) pairs of one MoE layer."""
        return self.tokens * self.top_k

    @property
    def matrix_weights(self) -> int:
        """Weights of one of the two matrices of an expert; biases are not counted."""
        return self.dim * self.expert_hidden


@dataclass(frozen=True, slots=True, eq=False)
class Routing:
    """Where the tokens go: an (N, k) array per MoE layer. `origin` says whether it was recorded or made up."""

    origin: str
    layers: tuple[Experts, ...]

    def __post_init__(self) -> None:
        for layer in self.layers:
            layer.setflags(write=False)

    def queues(self, layer: int, experts: int) -> tuple[int, ...]:
        """The queue length of each expert in one MoE layer; they sum to N·k."""
        return queue_lengths(self.layers[layer], experts)

    def check(self, network: Network) -> None:
        """Refuse a routing that is not of this network. Raises `UsageError`."""
        if len(self.layers) != network.moe_layers:
            raise UsageError(
                f"the routing has {len(self.layers)} MoE layers, the network {network.moe_layers}",
                hint="record the routing with this network",
            )
        for index, layer in enumerate(self.layers):
            _check_layer(index, layer, network)


def queue_lengths(routes: Experts, experts: int) -> tuple[int, ...]:
    """How many tokens go to each expert."""
    return tuple(np.bincount(routes.ravel(), minlength=experts).tolist())


def _check_layer(index: int, layer: Experts, network: Network) -> None:
    expected = (network.tokens, network.top_k)
    if layer.shape != expected or not np.issubdtype(layer.dtype, np.integer):
        raise UsageError(
            f"routing of layer {index}: {layer.dtype} {layer.shape}, not whole numbers of shape {expected}",
            hint="one row per token, its top_k experts in each",
        )
    if layer.min() < 0 or layer.max() >= network.experts:
        worst = layer.max() if layer.max() >= network.experts else layer.min()
        raise UsageError(
            f"routing of layer {index}: there is no expert {worst}", hint=f"they are 0 to {network.experts - 1}"
        )
    ordered = np.sort(layer, axis=1)
    if np.any(ordered[:, 1:] == ordered[:, :-1]):
        token = int(np.argmax(np.any(ordered[:, 1:] == ordered[:, :-1], axis=1)))
        raise UsageError(
            f"routing of layer {index}: token {token} goes to one expert twice", hint="a token's experts are distinct"
        )


def uniform(network: Network) -> Routing:
    """Tokens dealt to the experts in turn: the queues differ by at most one."""
    dealt = np.arange(network.visits, dtype=np.int64).reshape(network.tokens, network.top_k) % network.experts
    return Routing("uniform", (dealt,) * network.moe_layers)


def zipf(network: Network, *, exponent: float, seed: int = 0) -> Routing:
    """Each token draws k distinct experts; expert i has weight (i + 1)^-exponent, in another order in each layer.

    Raises `UsageError` for an exponent that is negative or above 10.
    """
    if not 0 <= exponent <= 10:
        raise UsageError(f"a Zipf exponent of {exponent:g} is impossible", hint="give one from 0 (uniform) to 10")
    generator = np.random.default_rng(seed)
    layers = []
    for _ in range(network.moe_layers):
        weights = generator.permutation((np.arange(network.experts) + 1.0) ** -exponent)
        # exponential races: the k first of E clocks with these rates are a draw without replacement
        races = generator.exponential(size=(network.tokens, network.experts)) / weights
        layers.append(np.argsort(races, axis=1)[:, : network.top_k].astype(np.int64))
    return Routing(f"zipf:{exponent:g}", tuple(layers))


def histogram(network: Network, lengths: Sequence[int]) -> Routing:
    """A routing with these queue lengths in every MoE layer; the order of the tokens is made up.

    Each token takes the k experts with the most places left, so a routing is found whenever one exists.
    Raises `UsageError` when none does: a length above N or below 0, or a sum that is not N·k.
    """
    if len(lengths) != network.experts or sum(lengths) != network.visits:
        raise UsageError(
            f"histogram: {len(lengths)} queues of {sum(lengths)} tokens in all",
            hint=f"give {network.experts} lengths that sum to {network.tokens} · {network.top_k} = {network.visits}",
        )
    if wrong := [length for length in lengths if not 0 <= length <= network.tokens]:
        raise UsageError(
            f"histogram: a queue of {wrong[0]} tokens is impossible", hint=f"a length is 0 to {network.tokens}"
        )
    left = np.array(lengths, dtype=np.int64)
    rows = np.empty((network.tokens, network.top_k), dtype=np.int64)
    for row in rows:
        row[:] = np.sort(np.argsort(-left, kind="stable")[: network.top_k])
        left[row] -= 1
    return Routing("histogram, token order made up", (rows,) * network.moe_layers)


def recorded(path: Path) -> Routing:
    """The routing in an `.npz` file with arrays layer_0, layer_1, … of (N, k). Raises `UsageError`."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = [f"layer_{index}" for index in range(len(arrays.files))]
            if {*arrays.files} != {*names}:
                raise UsageError(f"{path}: arrays {', '.join(arrays.files)}", hint="name them layer_0, layer_1, …")
            layers = tuple(np.array(arrays[name]) for name in names)
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} is not a recorded routing: {error}", hint="give an .npz file of arrays") from None
    return Routing("recorded", layers)


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """A network and the routing of each of its tasks, all checked against it."""

    name: str
    network: Network
    tasks: tuple[tuple[str, Routing], ...]

    def __post_init__(self) -> None:
        if not self.tasks:
            raise UsageError(f"workload {self.name} has no tasks", hint="give at least one [[task]]")
        if len({task for task, _ in self.tasks}) < len(self.tasks):
            raise UsageError(f"workload {self.name}: two tasks have the same name", hint="name each differently")
        for _, routing in self.tasks:
            routing.check(self.network)

    @property
    def task_names(self) -> tuple[str, ...]:
        return tuple(task for task, _ in self.tasks)

    def routing(self, task: str) -> Routing:
        """The routing of a task. Raises `UnknownNameError`."""
        for name, routing in self.tasks:
            if name == task:
                return routing
        raise unknown("task", task, self.task_names)
