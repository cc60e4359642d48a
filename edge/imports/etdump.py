"""The table of operators that ExecuTorch's Inspector saves of an ETDump, as tab-separated text."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping

from edge.errors import UsageError
from edge.operator_times import OperatorTime

TO_MS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}
"""Units of time as the Inspector heads its columns."""
MEDIAN = re.compile(r"p50(?: \((\w+)\))?")
PARTITION = "DELEGATE_CALL"
"""One call of a delegate: all of a partition's operators, and the border."""
NATIVE = re.compile(r"native_call_(.+)")
"""An operator that ExecuTorch's own kernels ran; the wrapper OPERATOR_CALL around it is left out of the table."""
UNNAMED = "delegate"
"""A delegate that the dump does not name: only an ETRecord does."""


def operators_of_tsv(text: str) -> tuple[OperatorTime, ...]:
    """The median time of each operator, in the order of execution. Raises `UsageError` for another table.

    Where a delegate tells its own operators they stand for its calls, which hold them.
    """
    rows = list(csv.DictReader(io.StringIO(text), delimiter="\t"))
    columns = [name for name in (rows[0] if rows else {}) if name and MEDIAN.fullmatch(name)]
    if len(columns) != 1 or "event_name" not in rows[0]:
        raise UsageError("this is no table of an ETDump", hint="write it with Inspector.save_data_to_tsv")
    unit = MEDIAN.fullmatch(columns[0])
    scale = TO_MS.get(unit[1] or "ms") if unit else None
    if scale is None:
        raise UsageError(f"times in an unknown unit: {columns[0]}", hint=f"known: {', '.join(TO_MS)}")
    told = any(row.get("is_delegated_op") == "True" for row in rows)
    times = tuple(found for row in rows if (found := _operator(row, columns[0], scale, told)) is not None)
    if not times:
        raise UsageError("the table has no operator", hint="the runner was built without its event tracer")
    return times


def _operator(row: Mapping[str, str | None], column: str, scale: float, told: bool) -> OperatorTime | None:
    """The operator of a row; None for the events around operators, and for calls of delegates that tell more."""
    name = row["event_name"] or ""
    native = NATIVE.fullmatch(name)
    if native is not None:
        return OperatorTime(name, native[1], _ms(row, column, scale))
    if row.get("is_delegated_op") == "True":
        return OperatorTime(
            name, re.sub(r" #\d+$", "", name), _ms(row, column, scale), row.get("delegate_backend_name") or UNNAMED
        )
    if name == PARTITION and not told:
        return OperatorTime(name, PARTITION, _ms(row, column, scale), row.get("delegate_backend_name") or UNNAMED)
    return None


def _ms(row: Mapping[str, str | None], column: str, scale: float) -> float:
    try:
        ms = float(row[column] or "") * scale
    except ValueError:
        ms = math.nan
    if not (math.isfinite(ms) and ms >= 0):
        raise UsageError(f"{row['event_name']} took {row[column]!r}", hint="the table is damaged")
    return ms
