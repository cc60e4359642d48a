"""The JSON document with which our own runners end: every run's start and duration, or the stage that failed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from devices._runners.finished import require_success, rubbish
from edge.errors import EdgeError
from edge.machine import Finished
from edge.protocol import Round

Report = Mapping[str, Any]
Failures = Mapping[str, tuple[type[EdgeError], str]]
"""What a runner could not do, by the stage that it names: our error, and what may help."""
LONGEST_NS = 10**15
"""Eleven days: a longer run is a broken clock."""
Made = TypeVar("Made")


def read(finished: Finished, runtime: str, failures: Failures, make: Callable[[Report], Made]) -> Made:
    """What `make` makes of the document of the last line; it may raise as reading damaged JSON does.

    Raises `DeviceError` for a process that failed and for anything that the runner could not have written, and the error
    of a stage.
    """
    report = _report(finished, runtime, failures)
    try:
        return make(report)
    except (KeyError, TypeError, ValueError) as error:
        what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise rubbish(runtime, what, finished) from error


def round_of(report: Report) -> Round:
    return Round(_samples_ms(report), _positive(report, "init_ms"), int(_positive(report, "peak_rss_kb")))


def _report(finished: Finished, runtime: str, failures: Failures) -> Report:
    lines = finished.stdout.strip().splitlines()
    try:
        report = json.loads(lines[-1] if lines else "", parse_constant=_refuse)
    except (ValueError, RecursionError):
        report = None
    if isinstance(report, dict) and "error" in report and (stage := str(report.get("stage"))) in failures:
        kind, hint = failures[stage]
        raise kind(f"{runtime} on the device failed ({stage}): {report['error']}", hint=hint)
    require_success(finished, runtime)
    if not isinstance(report, dict):
        raise rubbish(runtime, "it ends without a result", finished)
    return report


def _samples_ms(report: Report) -> tuple[float, ...]:
    """Each run's duration; they must be as many as announced, and follow each other on the clock."""
    runs = report["runs_ns"]
    if not isinstance(runs, list) or report["runs"] != len(runs):
        raise ValueError(f"{report['runs']} runs are announced, other than are given")
    end_ns = 0
    for start_ns, ns in runs:
        if type(start_ns) is not int or type(ns) is not int:
            raise ValueError("a time is not a whole number of ns")
        if start_ns < end_ns or not 0 < ns < LONGEST_NS:
            raise ValueError(f"a run of {ns} ns at {start_ns} ns, when the one before ended at {end_ns} ns")
        end_ns = start_ns + ns
    return tuple(ns * 1e-6 for _, ns in runs)


def _positive(report: Report, key: str) -> float:
    value = report[key]
    if type(value) not in (int, float) or not 0 < value < LONGEST_NS:
        raise ValueError(f"{key} is {value!r}")
    return float(value)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number")
