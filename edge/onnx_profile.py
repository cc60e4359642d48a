"""Reads the profile that onnxruntime writes, on any device: a JSON list of events, of which those of kernels are the operators."""

from __future__ import annotations

import json
import math
import statistics

from edge.operator_times import OperatorTime

KERNEL = "_kernel_time"
"""How the name of a kernel's event ends; what stands before it is the node's name."""


def operator_times(profile: str, warmup: int) -> tuple[OperatorTime, ...]:
    """Each node's median in ms over the runs after `warmup`, in the order of the first run. Times in the text are in µs.

    Raises `ValueError` for a text that onnxruntime could not have written.
    """
    durations: dict[tuple[str, str], list[float]] = {}
    try:
        for event in json.loads(profile):
            if event["cat"] == "Node" and event["name"].endswith(KERNEL):
                node = event["name"].removesuffix(KERNEL), event["args"]["op_name"]
                durations.setdefault(node, []).append(_ms(event["dur"]))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"an event is not as onnxruntime writes it: {error!r}") from error
    return tuple(OperatorTime(name, kind, statistics.median(each[warmup:])) for (name, kind), each in durations.items())


def _ms(us: float) -> float:
    if not (math.isfinite(us) and us >= 0):
        raise ValueError(f"an operator took {us} µs")
    return us / 1e3
