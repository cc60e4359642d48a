"""Workloads by name, and from a TOML file."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import UsageError
from edge.models.catalog import entry
from edge.models.m3vit_config import CHANNELS, DENSE_RATIO, PATCH, VARIANTS, M3ViTConfig, grid_of
from edge.simulator.tables import read
from edge.simulator.workload import Network, Routing, Scope, Workload, histogram, recorded, uniform, zipf
from edge.suggest import unknown

TOY = Network(
    tokens=6, dim=8, heads=1, hidden=32, experts=4, top_k=2, expert_hidden=16, moe=(True,), scope=Scope.EXPERTS
)
TOY_ROUTES = ((0, 1), (0, 2), (0, 1), (1, 2), (0, 1), (0, 2))
"""moe_fpga sheet 4.5."""

EDGE_MOE = Network(
    tokens=129, dim=192, heads=3, hidden=768, experts=16, top_k=2, expert_hidden=384, moe=(False, True) * 6
)  # fmt: skip


def _toy() -> Workload:
    return Workload("toy", TOY, (("task0", Routing("recorded", (np.array(TOY_ROUTES),))),))


def _edge_moe() -> Workload:
    """Edge-MoE's sample image: the routing of the first MoE layer, token by token, is used in all six."""
    text = (files("edge.simulator") / "edge_moe_routing.toml").read_text(encoding="utf-8")
    first_layer = {task: np.array(routes, dtype=np.int64) for task, routes in tomllib.loads(text).items()}
    origin = "recorded in the first MoE layer, used in all"
    tasks = tuple((task, Routing(origin, (routes,) * EDGE_MOE.moe_layers)) for task, routes in first_layer.items())
    return Workload("edge-moe", EDGE_MOE, tasks)


def _edge_moe_uniform() -> Workload:
    routing = uniform(EDGE_MOE)
    return Workload("edge-moe-uniform", EDGE_MOE, (("task0", routing), ("task1", routing)))


BUILT_IN: Mapping[str, Callable[[], Workload]] = {
    "toy": _toy,
    "edge-moe": _edge_moe,
    "edge-moe-uniform": _edge_moe_uniform,
}


def m3vit(name: str, image_size: tuple[int, int] | None = None) -> Workload:
    """The backbone of `m3vit_SIZE` with all tasks or `m3vit_SIZE_TASK` with one, tokens spread evenly over the experts.

    `image_size` is (height, width) in pixels, the catalog's if not given. Raises `UnknownNameError`, `UsageError`.
    """
    stem, _, last = name.rpartition("_")
    variant, tasks = (stem, (last,)) if last in CHANNELS else (name, tuple(CHANNELS))
    if variant not in VARIANTS:
        raise unknown("workload", name, (*BUILT_IN, *VARIANTS))
    network = network_of(VARIANTS[variant], image_size or entry(name).image_size)
    routing = uniform(network)
    return Workload(name, network, tuple((task, routing) for task in tasks))


def network_of(config: M3ViTConfig, image_size: tuple[int, int]) -> Network:
    """The sizes that the simulator needs of an M3ViT for pictures of (height, width) pixels. Raises `UsageError`."""
    return Network(
        tokens=1 + math.prod(grid_of(image_size)),
        dim=config.width,
        heads=config.heads,
        hidden=DENSE_RATIO * config.width,
        experts=config.moe.experts,
        top_k=config.moe.top_k,
        expert_hidden=config.moe.hidden_ratio * config.width,
        moe=tuple(index in config.moe_blocks for index in range(config.depth)),
        patch_inputs=3 * PATCH**2,
    )


def workload(name: str) -> Workload:
    """A built-in workload, an M3ViT of the catalog, or a `.toml` file. Raises `UsageError`."""
    if name.endswith(".toml"):
        return from_file(Path(name))
    return BUILT_IN[name]() if name in BUILT_IN else m3vit(name)


class Source(StrEnum):
    """Where the routing of a task comes from."""

    RECORDED = "recorded"
    UNIFORM = "uniform"
    ZIPF = "zipf"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class TaskTable:
    """A [[task]] of a workload file; `exponent`, `seed`, `lengths` and `file` go with one kind of routing each."""

    name: str
    routing: Source
    exponent: float = 1
    seed: int = 0
    lengths: tuple[int, ...] = ()
    file: str = ""


@dataclass(frozen=True, slots=True)
class WorkloadTable:
    """A workload file: [network] and one [[task]] or more."""

    network: Network
    task: tuple[TaskTable, ...]


def from_file(path: Path) -> Workload:
    """The workload that a TOML file describes; a recorded routing is found beside it. Raises `UsageError`."""
    if not path.is_file():
        raise UsageError(f"there is no {path}", hint=f"give a file, or one of {', '.join((*BUILT_IN, *VARIANTS))}")
    try:
        table: dict[str, Any] = tomllib.loads(path.read_bytes().decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}", hint="write [network] and [[task]] tables") from None
    described = read(WorkloadTable, table, str(path))
    tasks = tuple((task.name, _routing(task, described.network, path.parent)) for task in described.task)
    return Workload(path.stem, described.network, tasks)


def _routing(task: TaskTable, network: Network, folder: Path) -> Routing:
    makers: dict[Source, Callable[[], Routing]] = {
        Source.RECORDED: lambda: recorded(folder / task.file),
        Source.UNIFORM: lambda: uniform(network),
        Source.ZIPF: lambda: zipf(network, exponent=task.exponent, seed=task.seed),
        Source.HISTOGRAM: lambda: histogram(network, task.lengths),
    }
    return makers[task.routing]()


def rerouted(workload: Workload, text: str) -> Workload:
    """`workload` with one routing for all tasks: `uniform`, `zipf:EXPONENT`, or an `.npz` file. Raises `UsageError`."""
    kind, _, argument = text.partition(":")
    if kind == "uniform" and not argument:
        routing = uniform(workload.network)
    elif kind == "zipf":
        routing = zipf(workload.network, exponent=_number(argument))
    elif text.endswith(".npz"):
        routing = recorded(Path(text))
    else:
        raise UsageError(f"no routing called {text!r}", hint="write uniform, zipf:1.2, or an .npz file")
    return Workload(workload.name, workload.network, tuple((task, routing) for task in workload.task_names))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a Zipf exponent", hint="write zipf:1.2") from None
