"""A pytest plugin that lets coremltools' own operator tests predict with our runtime, and writes what came of it.

Those tests build small programs, convert them and, on a Mac, compare predictions with expected values. This makes them do
the same here. Nothing of them is copied: they run from the installed package. Load with `-p tests.conformance.plugin`.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

os.environ["PYMIL_TEST_TARGETS"] = "mlprogram"
os.environ["INCLUDE_MIL_FP32_UNIT_TESTS"] = "1"

import numpy as np
import pytest
import torch
from coremltools.converters.mil import testing_reqs, testing_utils
from coremltools.models import MLModel
from coremltools.models import utils as model_utils

from edge.errors import EdgeError
from exporters.coreml import package
from exporters.coreml.runtime import features
from exporters.coreml.runtime.interpreter import Arithmetic
from exporters.coreml.runtime.model import ReferenceModel, load
from exporters.coreml.runtime.ops import OPERATORS
from exporters.coreml.runtime.program import CONTROL_FLOW
from tests.conformance.known import reason

MACOS = (15, 4)
"""The first release whose Core ML has every operator that coremltools 9.0 writes."""
CLAIMED = OPERATORS.keys() | CONTROL_FLOW
PLUMBING = frozenset({"const", "cast", "identity"})
"""In nearly every program, so a case is not about them."""


HALF = 10
"""The number of float16 among the data types of MIL.proto."""
HALF_STEP = 2.0**-10
"""Between neighbours of float16, relative to them."""
COMPARE = testing_utils.compare_backend


@dataclass(slots=True)
class Case:
    """One test: the operators of the programs that it ran, and how it ended."""

    operators: set[str] = field(default_factory=set)
    predictions: int = 0
    outcome: str = "passed"
    is_half: bool = False
    """The program declares float16 somewhere, though the case is one of those for float32."""
    within_step: bool = False
    """Only within a step of float16 of what was expected, which is more than the case allows."""
    line: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class Running:
    """The case that runs now, and the packages that it loaded."""

    case: Case = field(default_factory=Case)
    loaded: dict[int, tuple[MLModel, ReferenceModel]] = field(default_factory=dict)


RUNNING = Running()
CASES: dict[str, Case] = {}


def predict(self: MLModel, data: Any, state: Any = None) -> Any:
    """In place of `MLModel.predict`, which needs a Mac."""
    if isinstance(data, list):
        return [predict(self, one, state) for one in data]
    if self.get_spec().WhichOneof("Type") != "mlProgram":
        pytest.skip("a model of before ML Programs")
    RUNNING.case.operators.update(
        operation.type for operation in package.operations(self.get_spec()) if operation.type not in PLUMBING
    )
    RUNNING.case.predictions += 1
    model = _reference(self)
    try:
        return model.predict(_declared(model.description, data), state)
    except EdgeError as error:  # as the framework says it, for the tests that ask for an error
        raise RuntimeError(f"Unable to compute the prediction using ML Program: {error}") from error


def make_state(self: MLModel) -> dict[str, Any]:
    """In place of `MLModel.make_state`."""
    return _reference(self).make_state()


def compare_backend(
    mlmodel: MLModel,
    input_key_values: Any,
    expected_outputs: Any,
    *,
    atol: float = 1e-4,
    rtol: float = 1e-5,
    **settings: Any,
) -> Any:
    """In place of the tests' own comparison, around it: a program of float16 is held to a step of float16 at least.

    Some cases declare float16, expect what float32 computes, and allow less than float16 can tell apart. coremltools
    runs those with a tolerance of 0.5. The summary counts those apart that use the wider tolerance.
    """
    has_halves = _declares_half(mlmodel)
    RUNNING.case.is_half |= has_halves
    arrays = {name: each for name, each in (expected_outputs or {}).items() if isinstance(each, np.ndarray)}
    scale = max((float(np.abs(each).max(initial=0)) for each in arrays.values()), default=0.0)
    wide = max(atol, HALF_STEP * scale) if has_halves else atol
    found = COMPARE(mlmodel, input_key_values, expected_outputs, atol=wide, rtol=rtol, **settings)
    if wide > atol and not settings.get("allow_mismatch_ratio"):
        RUNNING.case.within_step |= not all(
            np.allclose(testing_utils._get_coreml_out_from_dict(found, name), each, atol=atol, rtol=rtol)
            for name, each in arrays.items()
        )
    return found


def _declares_half(model: MLModel) -> bool:
    spec = model.get_spec()
    inputs = (value for function in spec.mlProgram.functions.values() for value in function.inputs)
    made = (value for operation in package.operations(spec) for value in operation.outputs)
    return any(value.type.tensorType.dataType == HALF for value in chain(inputs, made))


def _reference(model: MLModel) -> ReferenceModel:
    if id(model) not in RUNNING.loaded:
        RUNNING.loaded[id(model)] = (
            model,
            load(Path(model.package_path), Arithmetic.DECLARED, model.function_name or ""),
        )
    return RUNNING.loaded[id(model)][1]


def _declared(description: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """The tests give float32 for everything, and the framework converts to what the description says."""
    kinds = {feature.name: feature.type for feature in description.input}
    return {
        name: np.asarray(value).astype(features.ARRAYS[kinds[name].multiArrayType.dataType])
        if kinds[name].WhichOneof("Type") == "multiArrayType"
        else value
        for name, value in data.items()
    }


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption("--conformance-summary", required=True, help="where the summary goes (JSON)")
    group.addoption("--conformance-sample", type=int, default=0, help="how many cases to draw; 0 for all")
    group.addoption("--conformance-seed", type=int, default=0, help="which ones")


def pytest_configure(config: pytest.Config) -> None:
    """Before collection: in half precision the tests accept an error of 0.5, so only float32 cases are made at all."""
    testing_utils._IS_MACOS = True
    testing_utils.compare_backend = compare_backend
    model_utils._macos_version = lambda: MACOS
    testing_reqs.backends[:] = [each for each in testing_reqs.backends if each[1] == "fp32"]
    testing_reqs.backends_internal[:] = [each for each in testing_reqs.backends_internal if each.precision == "fp32"]
    MLModel.predict, MLModel.make_state = predict, make_state


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("--conformance-sample")
    if wanted:
        drawn = set(sample((item.nodeid for item in items), wanted, config.getoption("--conformance-seed")))
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in drawn])
        items[:] = [item for item in items if item.nodeid in drawn]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Every conversion collects garbage: 0.3 s over what is loaded by now, 0.01 s over what comes after."""
    gc.freeze()


def sample(names: Iterable[str], wanted: int, seed: int) -> list[str]:
    """One case of each test, then a second of each, and so on: a test with a thousand cases does not crowd out the rest."""
    by_test: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        by_test[name.partition("[")[0]].append(name)
    rng = Random(seed)
    for cases in by_test.values():
        rng.shuffle(cases)
    rounds = (cases[turn] for turn in range(wanted) for cases in by_test.values() if turn < len(cases))
    return [name for name, _ in zip(rounds, range(wanted), strict=False)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Each case draws its own numbers, whatever ran before it, and leaves no package behind."""
    RUNNING.case = CASES[item.nodeid] = Case()
    seed = zlib.crc32(item.nodeid.encode())
    np.random.seed(seed)
    torch.manual_seed(seed)
    yield
    for model, _ in RUNNING.loaded.values():
        shutil.rmtree(model.package_path, ignore_errors=True)
    RUNNING.loaded.clear()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    case = CASES[report.nodeid]
    case.seconds += report.duration
    if report.outcome != "passed":
        case.outcome = "skipped" if report.skipped else "failed"
    if report.failed:
        case.line = _first_error_line(report)


def _first_error_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return " ".join(str(crash.message if crash else report.longrepr).split())[:300]


def pytest_sessionfinish(session: pytest.Session) -> None:
    summary = summarise(CASES)
    Path(session.config.getoption("--conformance-summary")).write_text(json.dumps(summary, indent=1), encoding="utf-8")


def summarise(cases: Mapping[str, Case]) -> dict[str, Any]:
    """What ran: a case counts as executed when it predicted at least once and did not go on to skip itself."""
    executed = {name: case for name, case in cases.items() if case.predictions and case.outcome != "skipped"}
    claimed = [case for case in executed.values() if case.operators <= CLAIMED]
    operators: dict[str, Counter[str]] = defaultdict(Counter)
    for case in executed.values():
        for operator in case.operators:
            operators[operator][case.outcome] += 1
    return {
        "executed": len(executed),
        "float32": _counts([case for case in claimed if not case.is_half]),
        "float16": _counts([case for case in claimed if case.is_half]),
        "without_prediction": Counter(case.outcome for name, case in cases.items() if name not in executed),
        "operators": {name: dict(operators[name]) for name in sorted(operators)},
        "unclaimed": sorted(operators.keys() - CLAIMED),
        "failures": [_failure(name, case) for name, case in sorted(executed.items()) if case.outcome == "failed"],
        "failures_without_prediction": {
            name: case.line for name, case in sorted(cases.items()) if case.outcome == "failed" and name not in executed
        },
    }


def _counts(cases: list[Case]) -> dict[str, int]:
    """Of cases whose operators are all known here."""
    return {
        "executed": len(cases),
        "passed": sum(case.outcome == "passed" and not case.within_step for case in cases),
        "within_a_step": sum(case.outcome == "passed" and case.within_step for case in cases),
    }


def _failure(name: str, case: Case) -> dict[str, Any]:
    return {
        "case": name,
        "operators": sorted(case.operators),
        "unclaimed": sorted(case.operators - CLAIMED),
        "line": case.line,
        "reason": reason(name),
    }
