"""coremltools' own operator tests predict with our runtime: a fixed sample here, all of them by `make coreml-conformance`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("coremltools", reason="the tests are coremltools' own")

REPOSITORY = Path(__file__).parents[2]
CASES = 1800
"""Two and a half minutes on one core; a third of the cases predict nothing: they check errors and inferred types."""
HUNG_S = 900


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("conformance") / "summary.json"
    subprocess.run(
        [sys.executable, "-m", "tests.conformance", "--sample", str(CASES), "--seed", "3", "--summary", str(path)],
        cwd=REPOSITORY, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False, timeout=HUNG_S, capture_output=True,
    )  # fmt: skip
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def test_a_thousand_cases_predict(summary):
    assert summary["executed"] >= 1000


def test_the_cases_use_nearly_every_operator_that_we_claim(summary):
    assert len(summary["operators"]) >= 140


def test_of_the_float32_cases_at_least_97_percent_pass(summary):
    counts = summary["float32"]
    assert counts["executed"] >= 700
    assert counts["passed"] >= 0.97 * counts["executed"]


def test_every_case_that_fails_has_a_reason_in_the_table(summary):
    assert [failure["case"] for failure in summary["failures"] if not failure["reason"]] == []


def test_no_case_fails_before_it_predicts(summary):
    assert summary["failures_without_prediction"] == {}
