"""The time of each operator of a model in PyTorch: the reference beside which a runtime's operators are read."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
from torch.fx import Interpreter, Node

from edge.models.sources import Model
from edge.operator_times import OperatorTime
from edge.passes.capture import capture, unlifted


class _Timing(Interpreter):
    """Executes a captured graph node by node; `ms` holds each operator's time in the last run, in order."""

    ms: dict[Node, float]

    def run_node(self, n: Node) -> Any:
        started = time.perf_counter()
        result = super().run_node(n)
        if n.op == "call_function":
            self.ms[n] = (time.perf_counter() - started) * 1e3
        return result


def operator_times(model: Model, *, warmup: int, runs: int, threads: int = 1) -> tuple[OperatorTime, ...]:
    """The median in ms of every ATen operator of the deploy form, batch 1, in order, each called from Python."""
    interpreter = _Timing(unlifted(capture(model.deploy(), model.example_inputs())))
    inputs = model.example_inputs()
    durations: dict[Node, list[float]] = {}
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            for run in range(warmup + runs):
                interpreter.ms = {}
                interpreter.run(*inputs)
                for node, ms in interpreter.ms.items() if run >= warmup else ():
                    durations.setdefault(node, []).append(ms)
    finally:
        torch.set_num_threads(before)
    return tuple(OperatorTime(node.name, _kind(node), statistics.median(each)) for node, each in durations.items())


def _kind(node: Node) -> str:
    """`aten.conv2d.default` as `conv2d`."""
    return str(node.target).removeprefix("aten.").partition(".")[0]
