"""Runs coremltools' own operator tests on our runtime, all of them or a sample: `python -m tests.conformance --help`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import coremltools
import pytest

from tests.conformance.known import NEEDED_SHARE, stale

TESTS = Path(coremltools.__file__).parent / "converters/mil/mil/ops/tests"
ROWS = {"float32": "no float16 in the program", "float16": "float16 in the program"}
COLUMNS = ("executed", "passed", "within_a_step", "failed")


def main() -> int:
    """Exit with 1 when a case failed without a reason, or fewer than 97 % of those without float16 passed.

    A case passes with its own tolerance only. Programs that declare float16 have a row of their own, and those of them
    that are at most one step of float16 away, but further than their case allows, a column: they have not passed.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="how many cases to draw; 0 for all")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--summary", type=Path, required=True, help="where the summary goes (JSON)")
    parser.add_argument("--only", nargs="*", default=[], help="files below coremltools' folder of tests")
    parser.add_argument("-k", dest="matching", default="", help="as pytest's -k")
    options = parser.parse_args()
    options.summary.parent.mkdir(parents=True, exist_ok=True)
    ended = pytest.main([
        *([str(TESTS / name) for name in options.only] or [str(TESTS)]),
        "-c", os.devnull, "--rootdir", str(TESTS), "--import-mode=importlib", "--assert=plain", "-W", "ignore",
        "-q", "--tb=line", "--no-header", "--no-summary", "-p", "tests.conformance.plugin",
        "-p", "no:cacheprovider", "-p", "no:anyio", "-p", "no:hypothesispytest",
        "-k", options.matching, "--conformance-summary", str(options.summary.resolve()),
        "--conformance-sample", str(options.sample), "--conformance-seed", str(options.seed),
    ])  # fmt: skip
    if ended not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        print(f"pytest did not reach the end of the cases: {ended!r}")
        return 1
    summary = json.loads(options.summary.read_text(encoding="utf-8"))
    print(*_lines(summary), sep="\n")
    if not (options.sample or options.only or options.matching):
        print(*(f"nothing fails any more of: {pattern}" for pattern in stale(_failed(summary))), sep="\n")
    counts = summary["float32"]
    unexplained = [failure for failure in summary["failures"] if not failure["reason"]]
    return 1 if unexplained or counts["passed"] < NEEDED_SHARE * counts["executed"] or not summary["executed"] else 0


def _failed(summary: dict[str, Any]) -> list[str]:
    return [failure["case"] for failure in summary["failures"]]


def _lines(summary: dict[str, Any]) -> list[str]:
    """The table, what fails and why, and every case that fails without a reason."""
    reasons = Counter(failure["reason"] for failure in summary["failures"] if failure["reason"])
    counts = summary["float32"]
    return [
        "",
        " " * 26 + "".join(f"{column.replace('_', ' '):>15}" for column in COLUMNS),
        *(f"{title:26}" + "".join(f"{summary[row][column]:15}" for column in COLUMNS) for row, title in ROWS.items()),
        f"passed without float16: {counts['passed'] / max(counts['executed'], 1):.2%}, needed: {NEEDED_SHARE:.0%}",
        f"{len(summary['operators'])} operators ran; unknown here: {', '.join(summary['unclaimed']) or 'none'}",
        f"within a step: {summary['within_a_step']['reason']}",
        *(f"failed, {count}: {why}" for why, count in reasons.most_common()),
        *(f"NO REASON: {each['case']}: {each['line']}" for each in summary["failures"] if not each["reason"]),
    ]


if __name__ == "__main__":
    sys.exit(main())
