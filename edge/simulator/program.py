"""A program: jobs in order, what each must wait for, what it moves and what it keeps on chip."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edge.simulator.chip_parts import Role


class Unit(StrEnum):
    """Who does a job. A unit does one job at a time, in the order of the program."""

    LOADER = "weight loader"
    LINEAR = "linear array"
    ATTENTION = "attention arrays"
    STREAM = "stream units"


class Traffic(StrEnum):
    """The classes in which DRAM bytes are counted."""

    WEIGHTS = "weights"
    PATCHES = "patches"
    KEYS = "k"
    VALUES = "v"
    ATTENTION_MAP = "attention map"
    QUERY_OUTPUT = "query and output"
    LINEAR = "linear in and out"
    MLP = "mlp"
    EXPERTS = "expert activations"
    NORM = "norm"
    RESIDUAL = "residual"
    GATE = "gate"
    MODEL_SWAP = "model swap"
    CONTEXT = "context"
    WASTED = "wasted weights"


@dataclass(frozen=True, slots=True)
class Transfer:
    """`size` bytes between DRAM and the chip, on the port that carries `role`."""

    role: Role
    size: int
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class Job:
    """One step of a unit: `latency` cycles, then `compute` cycles while its transfers move; done when all are.

    `after` are indices of earlier jobs; `operation` is the row of the table of operations that it counts in;
    `context_bytes` is what must be saved if the chip turns to another frame when this job ends, None where it cannot.
    """

    name: str
    operation: str
    unit: Unit
    frame: int
    after: tuple[int, ...]
    compute: int = 0
    latency: int = 0
    macs: int = 0
    transfers: tuple[Transfer, ...] = ()
    context_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """`size` bytes on chip from the start of one job to the end of another."""

    size: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Program:
    """Jobs of one frame or several; `fixed_bytes` are on chip all the time (queues, lines, resident weights)."""

    jobs: tuple[Job, ...]
    holds: tuple[Hold, ...]
    fixed_bytes: int
    allocated_bytes: int
    """What the design reserves on chip; the peak never exceeds it."""
