"""coremltools' own operator tests predict with our runtime: a fixed sample here, all of them by `make coreml-conformance`.

A case passes with its own tolerance only. Programs that declare float16 are counted apart and are not among the 97 %.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("coremltools", reason="the tests are coremltools' own")

from tests.conformance.known import NEEDED_SHARE

REPOSITORY = Path(__file__).parents[2]
CASES = 1320
"""Some predict nothing, and some declare float16 without naming it."""
LIMIT_S = 360


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("conformance") / "summary.json"
    command = ["-m", "tests.conformance", "--sample", str(CASES), "--seed", "3", "--summary", str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        subprocess.run(
            [sys.executable, *command],
            cwd=REPOSITORY,
            env=environment,
            check=False,
            timeout=LIMIT_S,
            capture_output=True,
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"the {CASES} cases took more than {LIMIT_S} s", pytrace=False)
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def test_a_thousand_cases_without_float16_predict(summary):
    assert summary["float32"]["executed"] >= 1000


def test_the_cases_use_nearly_every_operator_that_we_claim(summary):
    assert len(summary["operators"]) >= 150
    assert summary["unclaimed"] == []


def test_of_the_cases_without_float16_at_least_97_percent_pass_with_their_own_tolerance(summary):
    counts = summary["float32"]
    assert counts["passed"] >= NEEDED_SHARE * counts["executed"]
    assert counts["within_a_step"] == 0


def test_every_case_that_fails_has_a_reason_in_the_table(summary):
    assert [failure["case"] for failure in summary["failures"] if not failure["reason"]] == []
