"""Workloads by name, and from a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import UsageError
from edge.simulator.tables import read
from edge.simulator.workload import Network, Routing, Scope, Workload, histogram, recorded, uniform, zipf
from edge.suggest import unknown

ODD_OF_12 = (False, True) * 6
TASKS = ("seg", "depth", "normals", "edges", "saliency")

TOY = Network(
    tokens=6, dim=8, heads=1, hidden=32, experts=4, top_k=2, expert_hidden=16, moe=(True,), scope=Scope.EXPERTS
)
TOY_ROUTES = ((0, 1), (0, 2), (0, 1), (1, 2), (0, 1), (0, 2))
"""moe_fpga sheet 4.5."""

EDGE_MOE = Network(
    tokens=129, dim=192, heads=3, hidden=768, experts=16, top_k=2, expert_hidden=384, moe=ODD_OF_12
)  # fmt: skip
EDGE_MOE_QUEUES = {
    "task0": (0, 6, 0, 32, 0, 27, 15, 24, 22, 19, 0, 22, 11, 33, 32, 15),
    "task1": (0, 17, 0, 41, 1, 22, 16, 25, 2, 19, 0, 23, 16, 1, 51, 24),
}
"""Queue lengths of the first MoE layer on Edge-MoE's sample image (moe_fpga sheet 3.3); used in all six layers."""

M3VIT_TINY = Network(
    tokens=129, dim=192, heads=3, hidden=768, experts=16, top_k=4, expert_hidden=192, moe=ODD_OF_12
)  # fmt: skip
M3VIT_SMALL = Network(
    tokens=1025, dim=384, heads=12, hidden=1536, experts=16, top_k=4, expert_hidden=384, moe=ODD_OF_12
)  # fmt: skip
M3VIT_BASE = Network(
    tokens=1201, dim=768, heads=12, hidden=3072, experts=16, top_k=4, expert_hidden=768, moe=ODD_OF_12
)  # fmt: skip
"""moe_fpga sheet 1.1: Cityscapes 128×256, PASCAL 512×512, NYUD 480×640, with the k = 4 and r = 1 of the headline command."""


def _toy() -> Workload:
    return Workload("toy", TOY, (("task0", Routing("recorded", (np.array(TOY_ROUTES),))),))


def _edge_moe() -> Workload:
    tasks = tuple((task, histogram(EDGE_MOE, lengths)) for task, lengths in EDGE_MOE_QUEUES.items())
    return Workload("edge-moe", EDGE_MOE, tasks)


def _alike(name: str, network: Network, tasks: tuple[str, ...]) -> Callable[[], Workload]:
    return lambda: Workload(name, network, tuple((task, uniform(network)) for task in tasks))


BUILT_IN: Mapping[str, Callable[[], Workload]] = {
    "toy": _toy,
    "edge-moe": _edge_moe,
    "edge-moe-uniform": _alike("edge-moe-uniform", EDGE_MOE, ("task0", "task1")),
    "m3vit_tiny": _alike("m3vit_tiny", M3VIT_TINY, TASKS),
    "m3vit_small": _alike("m3vit_small", M3VIT_SMALL, TASKS),
    "m3vit_base": _alike("m3vit_base", M3VIT_BASE, TASKS),
}


def workload(name: str) -> Workload:
    """The built-in workload called `name`, or the one of a `.toml` file. Raises `UsageError`."""
    if name.endswith(".toml"):
        return from_file(Path(name))
    if name not in BUILT_IN:
        raise unknown("workload", name, BUILT_IN)
    return BUILT_IN[name]()


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
        raise UsageError(f"there is no {path}", hint=f"give a file, or one of {', '.join(BUILT_IN)}")
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
