"""The time of each operation of a program on the reference runtime."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

from edge.operator_times import OperatorTime
from exporters.coreml.runtime.model import ReferenceModel


def operator_times(
    model: ReferenceModel, given: Mapping[str, Any], *, warmup: int, runs: int
) -> tuple[OperatorTime, ...]:
    """The median in ms over `runs` of each operation, in the order of the program; a loop or branch counts as one."""
    durations: dict[tuple[str, str], list[float]] = {}
    for run in range(warmup + runs):
        started = time.perf_counter()
        for step in model.steps(given):
            ended = time.perf_counter()
            if run >= warmup:
                named = step.operation.outputs[0].name, step.operation.type
                durations.setdefault(named, []).append((ended - started) * 1e3)
            started = time.perf_counter()
    return tuple(OperatorTime(name, kind, statistics.median(each)) for (name, kind), each in durations.items())
