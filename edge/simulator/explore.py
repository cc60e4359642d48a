"""Design-space exploration: every design around a chip, the front of those that fit, and what to fix first."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, partial
from multiprocessing import Pool
from typing import Any

from edge.errors import UsageError
from edge.simulator import pareto
from edge.simulator.chip import Chip
from edge.simulator.design import Design, Space
from edge.simulator.fast import Bus, Work
from edge.simulator.outline import Outline, attention_works, cycles, dram_bytes, outline, with_attention
from edge.simulator.policies import Footprint, Order, buffer_needed, check_fits
from edge.simulator.timeline import simulate
from edge.simulator.workload import Workload


class Obstacle(StrEnum):
    """Why a design cannot be built."""

    CHIP = "more DSPs than the device has"
    BUFFER = "larger weight buffers"
    MEMORY = "more memory than there is on chip"


@dataclass(frozen=True, slots=True)
class Infeasible:
    """A design that cannot be built, and the message of the simulator."""

    design: Design
    obstacle: Obstacle
    message: str


@dataclass(frozen=True, slots=True)
class Point:
    """A design that fits. `on_chip_bytes` is what it reserves, `dsp` what the arrays take by the model of a product."""

    design: Design
    cycles: int
    on_chip_bytes: int
    dsp: int
    dram_bytes: int

    @property
    def objectives(self) -> tuple[int, int, int, int]:
        """Less is better."""
        return self.cycles, self.on_chip_bytes, self.dsp, self.dram_bytes


@dataclass(frozen=True)
class Evaluator:
    """Evaluates designs around `base` for one frame of `task`, and keeps what other designs share.

    What a frame asks of a chip depends neither on its attention arrays, which are exchanged afterwards, nor on its
    ports, unless Johnson's order looks at them.
    """

    workload: Workload
    base: Chip
    task: str
    _chips: dict[Hashable, Chip | UsageError] = field(default_factory=dict)
    _buses: dict[float, Bus] = field(default_factory=dict)
    _outlines: dict[Hashable, Outline] = field(default_factory=dict)
    _attention: dict[Hashable, dict[str, Work]] = field(default_factory=dict)
    _frames: dict[Hashable, tuple[Outline, int]] = field(default_factory=dict)

    def evaluate(self, design: Design) -> Point | Infeasible:
        """The point of a design, exactly as the event engine counts its cycles, or why it cannot be built."""
        chip = self._chip(design)
        if isinstance(chip, UsageError):
            return Infeasible(design, Obstacle.CHIP, str(chip))
        try:
            reserved: Footprint = check_fits(self.workload.network, chip, design.policy)
        except UsageError as error:
            needed = buffer_needed(self.workload.network, chip, design.policy)
            obstacle = Obstacle.BUFFER if needed > design.buffer_bytes else Obstacle.MEMORY
            return Infeasible(design, obstacle, str(error))
        frame, traffic = self._frame(design, chip)
        return Point(design, self._cycles(design, chip, frame), reserved.total, chip.dsp, traffic)

    def _cycles(self, design: Design, chip: Chip, frame: Outline) -> int:
        """By the event engine where the memory has masters, whose periods do not start again with each stretch."""
        if chip.ddr.master:
            return simulate(self.workload, chip, design.policy, (self.task,)).cycles
        if design.ports not in self._buses:
            self._buses[design.ports] = Bus.of(chip)
        return cycles(frame, self._buses[design.ports])

    def _chip(self, design: Design) -> Chip | UsageError:
        """Policies share a chip but for its default buffers, which only a policy without its own would read."""
        key = (design.array, design.queries, design.lanes, design.buffer_bytes, design.ports, design.bits)
        if key not in self._chips:
            try:
                self._chips[key] = design.on(self.base)
            except UsageError as error:
                self._chips[key] = error
        return self._chips[key]

    def _frame(self, design: Design, chip: Chip) -> tuple[Outline, int]:
        """The frame on the arrays of this design, and its bytes."""
        ports = design.ports if design.policy.order is Order.JOHNSON else None
        linear = (design.array, design.bits, design.buffer_bytes, design.policy, ports)
        attention = (design.queries, design.lanes, design.bits)
        if (linear, attention) not in self._frames:
            if linear not in self._outlines:
                self._outlines[linear] = outline(self.workload, chip, design.policy, self.task)
            if attention not in self._attention:
                self._attention[attention] = attention_works(self.workload, chip, design.policy)
            frame = with_attention(self._outlines[linear], self._attention[attention])
            self._frames[linear, attention] = frame, dram_bytes(frame)
        return self._frames[linear, attention]


@dataclass(frozen=True, slots=True)
class Change:
    """One change to the base design and what it buys; `axis` is the field of the design that changes."""

    axis: str
    point: Point
    saved_cycles: int
    added_dsp: int
    added_bytes: int
    added_dram_bytes: int


@dataclass(frozen=True)
class Exploration:
    """All designs of a space, evaluated for one frame; every cycle is simulated."""

    workload: Workload
    base: Chip
    task: str
    space: Space
    points: tuple[Point, ...]
    infeasible: tuple[Infeasible, ...]
    seconds: float

    @property
    def points_per_second(self) -> float:
        """Designs timed per second; those that cannot be built are not counted."""
        return len(self.points) / self.seconds

    @property
    def base_point(self) -> Point:
        """The first design is the base, which fits, or `explore` would have refused it."""
        return self.points[0]

    @cached_property
    def front(self) -> tuple[Point, ...]:
        """Pareto-optimal points, the fastest first."""
        return _front(self.points)

    @cached_property
    def front_at_base_precision(self) -> tuple[Point, ...]:
        """The front of the designs with the base's bits: fewer bits win everywhere, as no objective is accuracy."""
        return _front([point for point in self.points if point.design.bits == self.base_point.design.bits])

    @cached_property
    def obstacles(self) -> Counter[Obstacle]:
        return Counter(each.obstacle for each in self.infeasible)

    @cached_property
    def fix_first(self) -> tuple[Change, ...]:
        """The single changes that save cycles, the largest saving first; of equal ones the smaller."""
        base, known = self.base_point, {point.design: point for point in self.points}
        changes = [
            Change(
                axis=axis,
                point=point,
                saved_cycles=base.cycles - point.cycles,
                added_dsp=point.dsp - base.dsp,
                added_bytes=point.on_chip_bytes - base.on_chip_bytes,
                added_dram_bytes=point.dram_bytes - base.dram_bytes,
            )
            for axis, design in self.space.single_changes()
            if (point := known.get(design)) is not None and point.cycles < base.cycles
        ]
        return tuple(sorted(changes, key=lambda change: (-change.saved_cycles, change.added_dsp, change.added_bytes)))

    def fields(self) -> dict[str, Any]:
        """Everything as plain data, without the points off the front."""
        return {
            "workload": self.workload.name,
            "chip": self.base.name,
            "task": self.task,
            "source": "simulated",
            "explored": len(self.points) + len(self.infeasible),
            "feasible": len(self.points),
            "infeasible": {obstacle.value: count for obstacle, count in self.obstacles.items()},
            "seconds": self.seconds,
            "points_per_second": self.points_per_second,
            "base": self._point_fields(self.base_point),
            "front": [self._point_fields(point) for point in self.front],
            "front_at_base_precision": [self._point_fields(point) for point in self.front_at_base_precision],
            "fix_first": [self._change_fields(change) for change in self.fix_first],
        }

    def _point_fields(self, point: Point) -> dict[str, Any]:
        return {
            "latency_ms": self.base.milliseconds(point.cycles),
            "cycles": point.cycles,
            "on_chip_bytes": point.on_chip_bytes,
            "dsp": point.dsp,
            "dram_bytes": point.dram_bytes,
            "is_base": point is self.base_point,
            "design": point.design.fields(self.base),
        }

    def _change_fields(self, change: Change) -> dict[str, Any]:
        saved_ms = self.base.milliseconds(change.saved_cycles)
        return {
            "axis": change.axis,
            "saved_ms": saved_ms,
            "saved_cycles": change.saved_cycles,
            "added_dsp": change.added_dsp,
            "added_bytes": change.added_bytes,
            "added_dram_bytes": change.added_dram_bytes,
            "saved_ms_per_dsp": saved_ms / change.added_dsp if change.added_dsp > 0 else None,
            "saved_ms_per_byte": saved_ms / change.added_bytes if change.added_bytes > 0 else None,
            "to": self._point_fields(change.point),
        }


def _front(points: Sequence[Point]) -> tuple[Point, ...]:
    return tuple(points[index] for index in pareto.front([point.objectives for point in points]))


def explore(workload: Workload, base: Chip, space: Space, task: str, processes: int = 1) -> Exploration:
    """Evaluate every design of a space. Raises `UsageError` when the base itself does not fit or the task is unknown."""
    check_fits(workload.network, base, space.base.policy)
    workload.routing(task)
    started = time.perf_counter()
    evaluate = partial(_evaluate, workload, base, task)
    if processes == 1:
        parts = [evaluate(block) for block in space.blocks()]
    else:
        with Pool(processes) as pool:  # the block's end, also after Ctrl-C or a signal, ends its processes
            parts = pool.map(evaluate, space.blocks(), chunksize=1)
    seconds = time.perf_counter() - started
    evaluated = [each for part in parts for each in part]
    points = tuple(each for each in evaluated if isinstance(each, Point))
    infeasible = tuple(each for each in evaluated if isinstance(each, Infeasible))
    return Exploration(workload, base, task, space, points, infeasible, seconds)


def _evaluate(workload: Workload, base: Chip, task: str, designs: Sequence[Design]) -> list[Point | Infeasible]:
    evaluator = Evaluator(workload, base, task)
    return [evaluator.evaluate(design) for design in designs]
