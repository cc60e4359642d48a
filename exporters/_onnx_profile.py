"""Reads the profile that onnxruntime writes: a JSON list of events, of which those of kernels are the operators."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from edge.operator_times import OperatorTime

KERNEL = "_kernel_time"
"""How the name of a kernel's event ends; what stands before it is the node's name."""


def operator_times(profile: Path, warmup: int) -> tuple[OperatorTime, ...]:
    """Each node's median in ms over the runs after `warmup`, in the order of the first run. Times in the file are in µs."""
    durations: dict[tuple[str, str], list[float]] = {}
    for event in json.loads(profile.read_text(encoding="utf-8")):
        if event.get("cat") == "Node" and event["name"].endswith(KERNEL):
            node = event["name"].removesuffix(KERNEL), event["args"]["op_name"]
            durations.setdefault(node, []).append(event["dur"] / 1e3)
    return tuple(OperatorTime(name, kind, statistics.median(each[warmup:])) for (name, kind), each in durations.items())
