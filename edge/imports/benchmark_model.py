"""What TFLite's benchmark_model leaves behind: its result (protobuf) and its profile of operators (protobuf, CSV or text)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import dropwhile, takewhile
from pathlib import Path

from edge.errors import UsageError
from edge.imports import protobuf
from edge.imports.protobuf import Message
from edge.imports.record import ImportedLatency, contents
from edge.operator_times import OperatorTime

BY = "TFLite benchmark_model"
RUNS = "Operator-wise Profiling Info for Regular Benchmark Runs"
"""Heads the part of a profile that is about the runs; another is about the start."""
IN_ORDER = "Run Order"
"""Stands in the banner of the table that lists every operator once, in the order of execution."""
INTERNAL = "Delegate internal"
"""Heads the operators that a delegate ran inside one operator of the graph: they are in that one's time already."""
NAMES = {"avg": "avg_ms", "avg ms": "avg_ms", "avg_ms": "avg_ms", "node type": "type", "name": "name"}
"""Columns that we need, as new and old builds call them."""
NUMBER = r"-?[\d.]+(?:e[-+]\d+)?%?"
PARTITION = re.compile(r"delegate", re.IGNORECASE)
"""Marks the type of an operator that is a delegate's whole partition, as TfLiteGpuDelegateV2."""
RUN_BY_DELEGATE, UNNAMED = "Delegate/", "delegate"
"""Begins the name of an operator that a delegate ran in place of the graph's own; which one, it does not say."""
PRIMARY = 0
"""The index of the graph that is run; others are bodies of its loops and branches, whose time those have already."""


def latency(path: Path, *, device: str, runtime: str = "TFLite", precision: str = "") -> ImportedLatency:
    """The result that `--result_file_path` wrote; it does not hold the device, so say it. Raises `UsageError`.

    The median where the build wrote one, else the mean.
    """
    result = protobuf.parsed(contents(path))
    times, memory, runs = result.message(2), result.message(3), result.message(4).integer(2)
    median, mean, peak_mb = times.float32(5), times.float32(1), memory.float32(3)
    ms = median if median is not None else mean
    if ms is None:
        raise UsageError(f"{path} holds no latency", hint="give the file of benchmark_model's --result_file_path")
    return ImportedLatency(
        device=device, runtime=runtime, model=result.text(1), precision=precision, ms=ms,
        statistic="mean" if median is None else "median", by=BY, runs=runs, init_ms=times.float32(8),
        peak_rss_kb=round(peak_mb * 1024) if peak_mb is not None and peak_mb > 0 else None,
    )  # fmt: skip


def operators_of_proto(data: bytes) -> tuple[OperatorTime, ...]:
    """The mean time of each operator of the runs, in the order of execution, of a `BenchmarkProfilingData`."""
    graphs = protobuf.parsed(data).message(3).messages(1)
    primary = [row for graph in graphs if (graph.integer(2) or 0) == PRIMARY for row in graph.messages(3)]
    rows = sorted(primary, key=_run_order)
    return _checked(_of_row(row) for row in rows)


def operators_of_text(text: str) -> tuple[OperatorTime, ...]:
    """The mean time of each operator of the runs, in the order of execution, of a profile as CSV or as printed."""
    runs = text.partition(RUNS)[2] or text
    _, found, table = runs.partition(INTERNAL)[0].partition(IN_ORDER)
    lines = _until_banner(table.splitlines()[1:]) if found else []
    if not lines:
        raise UsageError("this is no profile of benchmark_model", hint="write it with --enable_op_profiling=true")
    columns, *rows = _cells_of_tabs(lines) if "[" in lines[0] else _cells_of_csv(lines)
    names = [NAMES.get(name.lower(), name.lower()) for name in columns]
    return _checked(_of_cells(dict(zip(names, cells, strict=False))) for cells in rows)


def _run_order(row: Message) -> int:
    return row.integer(6) or 0


def _of_row(row: Message) -> OperatorTime:
    microseconds, calls = row.message(2).integer(3), row.integer(4)
    if microseconds is None:
        raise UsageError("an operator of the profile has no time", hint="the file is damaged")
    return _operator(row.text(5), row.text(1), microseconds * 1e-3 * (1 if calls is None else calls))


def _of_cells(cells: dict[str, str]) -> OperatorTime:
    try:
        ms = float(cells["avg_ms"]) * int(cells.get("times called", "1"))
        return _operator(cells["name"], cells["type"], ms)
    except (KeyError, ValueError) as error:
        raise UsageError(f"a line of the profile is not whole: {cells}", hint="the file is damaged") from error


def _operator(name: str, kind: str, ms: float) -> OperatorTime:
    if not 0 <= ms < 1e9:
        raise UsageError(f"operator {name or kind} took {ms} ms", hint="the file is damaged")
    if name.startswith(RUN_BY_DELEGATE):
        return OperatorTime(name.removeprefix(RUN_BY_DELEGATE), kind, ms, UNNAMED)
    return OperatorTime(name or kind, kind, ms, kind if PARTITION.search(kind) else "")


def _checked(times: Iterable[OperatorTime]) -> tuple[OperatorTime, ...]:
    found = tuple(times)
    if not found:
        raise UsageError("the profile names no operator", hint="write it with --enable_op_profiling=true")
    return found


def _until_banner(lines: list[str]) -> list[str]:
    """The lines of one table: it ends at the next banner, or at the first empty line after its rows."""
    rows = dropwhile(lambda line: not line.strip(), lines)
    return list(takewhile(lambda line: line.strip() and "====" not in line, rows))


def _cells_of_tabs(lines: list[str]) -> list[list[str]]:
    """The printed form: aligned by tabs, its heads in brackets."""
    cells = [[cell.strip() for cell in line.split("\t")[1:]] for line in lines]
    return [[head.strip("[]") for head in cells[0]], *cells[1:]]


def _cells_of_csv(lines: list[str]) -> list[list[str]]:
    """Types and names hold commas themselves (in names of new builds, tabs for them); the numbers between do not."""
    columns = lines[0].split(", ")
    numbers = rf"{NUMBER}(?:, {NUMBER}){{{max(0, len(columns) - 3)}}}"
    row = re.compile(rf"(.*?), ({numbers}), (.*)")
    found = [row.fullmatch(line) for line in lines[1:]]
    return [
        columns,
        *([match[1], *match[2].split(", "), match[3].replace("\t", ",")] if match else [] for match in found),
    ]
