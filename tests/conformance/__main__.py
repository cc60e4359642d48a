"""Runs coremltools' own operator tests on our runtime, all of them or a sample: `python -m tests.conformance --help`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import coremltools
import pytest

TESTS = Path(coremltools.__file__).parent / "converters/mil/mil/ops/tests"


def main() -> int:
    """Exit with 1 when a case failed without a reason in the table of known failures."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="how many cases to draw; 0 for all")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--summary", type=Path, required=True, help="where the summary goes (JSON)")
    parser.add_argument("--only", nargs="*", default=[], help="files below coremltools' folder of tests")
    parser.add_argument("-k", dest="matching", default="", help="as pytest's -k")
    options = parser.parse_args()
    options.summary.parent.mkdir(parents=True, exist_ok=True)
    pytest.main([
        *([str(TESTS / name) for name in options.only] or [str(TESTS)]),
        "-c", os.devnull, "--rootdir", str(TESTS), "--import-mode=importlib", "-q", "--tb=line", "--no-header",
        "-p", "no:cacheprovider", "-p", "no:anyio", "-p", "tests.conformance.plugin", "-W", "ignore",
        "-k", options.matching, "--conformance-summary", str(options.summary.resolve()),
        "--conformance-sample", str(options.sample), "--conformance-seed", str(options.seed),
    ])  # fmt: skip
    summary = json.loads(options.summary.read_text(encoding="utf-8"))
    unexplained = [failure for failure in summary["failures"] if not failure["reason"]]
    for failure in unexplained:
        print(f"{failure['case']}: {failure['line']}")
    for kind in ("float32", "float16"):
        counts = summary[kind]
        print(
            f"{kind}: {counts['executed']} executed, {counts['passed']} passed, "
            f"{counts['within_a_step']} only within a step of float16"
        )
    print(
        f"{summary['executed']} executed in all; {len(summary['failures'])} failed, {len(unexplained)} without a reason; "
        f"operators unknown here: {', '.join(summary['unclaimed']) or 'none'}"
    )
    return 1 if unexplained or not summary["executed"] else 0


if __name__ == "__main__":
    sys.exit(main())
