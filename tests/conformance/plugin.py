"""A pytest plugin that lets coremltools' own operator tests predict with our runtime, and writes what came of it.

Those tests build small programs, convert them and, on a Mac, compare predictions with expected values. This makes them do
the same here. Nothing of them is copied: they run from the installed package. Load with `-p tests.conformance.plugin`.

A case has passed when it passed with its own tolerance, nothing else. Cases whose programs declare float16 are counted
apart: some of them allow less than float16 can tell apart, so those have a group of their own between passed and failed.
"""

from __future__ import annotations

import gc
import json
import math
import os
import re
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
from tests.conformance.known import WITHIN_A_STEP, reason

MACOS = (15, 4)
"""The first release whose Core ML has every operator that coremltools 9.0 writes."""
CLAIMED = OPERATORS.keys() | CONTROL_FLOW
PLUMBING = frozenset({"const", "cast", "identity"})
"""In nearly every program, so a case is not about them."""


HALF = 10
"""The number of float16 among the data types of MIL.proto."""
HALF_NAMES = re.compile(r"float16|fp16")
HALF_STEP = 2.0**-10
"""Between neighbours of float16, relative to them."""
VERDICTS = ("passed", "within_a_step", "failed")
SLOW = "TestSliceUpdate::test_stress"
"""The only test that takes seconds for a case: once is enough for a sample."""
COMPARE = testing_utils.compare_backend


@dataclass(slots=True)
class Case:
    """One test: the operators of the programs that it ran, and how it ended."""

    operators: set[str] = field(default_factory=set)
    predictions: int = 0
    outcome: str = "passed"
    is_half: bool = False
    """A program declares float16 somewhere, though the case is one of those for float32."""
    steps: float = 0.0
    """By how many steps of float16, at the largest value expected, it is off where it is off by more than it allows."""
    line: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class Running:
    """The case that runs now, its latest prediction, and the packages that it loaded."""

    case: Case = field(default_factory=Case)
    found: Any = None
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
    RUNNING.case.is_half |= _declares_half(self)
    model = _reference(self)
    try:
        RUNNING.found = model.predict(_declared(model.description, data), state)
    except EdgeError as error:  # as the framework says it, for the tests that ask for an error
        raise RuntimeError(f"Unable to compute the prediction using ML Program: {error}") from error
    return RUNNING.found


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
    """Around the tests' own comparison: tells a miss by at most a step of float16 from a real one.

    Without float16 in the program nothing changes. With it, a miss fails the case only where it is larger than one step at
    the largest value expected; a smaller one is noted, and the case does not count as passed.
    """
    try:
        return COMPARE(mlmodel, input_key_values, expected_outputs, atol=atol, rtol=rtol, **settings)
    except AssertionError:
        if not RUNNING.case.is_half:
            raise
        RUNNING.case.steps = max(RUNNING.case.steps, _steps(RUNNING.found, expected_outputs))
        if RUNNING.case.steps > 1:
            raise
        return RUNNING.found


def _steps(found: Any, expected: Mapping[str, Any]) -> float:
    """The largest difference, in steps of float16 at the largest value expected; infinite where it is not one of size."""
    pairs = [
        (np.asarray(testing_utils._get_coreml_out_from_dict(found, name)), each) for name, each in expected.items()
    ]
    if any(not isinstance(each, np.ndarray) or each.shape != one.shape for one, each in pairs):
        return math.inf
    scale = max(float(np.abs(each).max(initial=0)) for _, each in pairs)
    away = max(float(np.abs(one.astype(np.float64) - each).max(initial=0)) for one, each in pairs)
    return away / (HALF_STEP * scale) if math.isfinite(away) and 0 < scale < math.inf else math.inf


def _declares_half(model: MLModel) -> bool:
    spec = model.get_spec()
    inputs = (value for function in spec.mlProgram.functions.values() for value in function.inputs)
    made = (value for operation in package.operations(spec) for value in operation.outputs)
    return any(_tensor_type(value.type).dataType == HALF for value in chain(inputs, made))


def _tensor_type(declared: Any) -> Any:
    """What a state or a list holds is a tensor too."""
    kind = declared.WhichOneof("type")
    if kind == "stateType":
        return _tensor_type(declared.stateType.wrappedType)
    return _tensor_type(declared.listType.type) if kind == "listType" else declared.tensorType


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
    """A sample is drawn from the cases that name a processor to run on: the others check types and errors, and predict nothing.

    Nor from those whose parameters name float16, which are counted apart: a sample is for the proof in float32.
    """
    wanted = config.getoption("--conformance-sample")
    if wanted:
        names = (item.nodeid for item in items if "compute_unit=" in item.nodeid and not HALF_NAMES.search(item.nodeid))
        drawn = set(sample(names, wanted, config.getoption("--conformance-seed")))
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in drawn])
        items[:] = [item for item in items if item.nodeid in drawn]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Every conversion collects garbage: 0.3 s over what is loaded by now, 0.01 s over what comes after."""
    gc.freeze()


def sample(names: Iterable[str], wanted: int, seed: int) -> list[str]:
    """One case of each stratum, then a second of each, and so on, so that a test with a thousand cases crowds nothing out."""
    strata: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in sorted(names):
        strata[_stratum(name)].append(name)
    rng = Random(seed)
    for (test, *_), cases in strata.items():
        rng.shuffle(cases)
        if test.endswith(SLOW):
            del cases[1:]
    rounds = (cases[turn] for turn in range(wanted) for cases in strata.values() if turn < len(cases))
    return [name for name, _ in zip(rounds, range(wanted), strict=False)]


def _stratum(name: str) -> tuple[str, ...]:
    """The test, and the operators that its parameters name: some tests are about one operator in each case."""
    test, _, parameters = name.partition("[")
    return test, *(word for word in re.findall(r"\w+", parameters) if word in CLAIMED)


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
        case.line = _why(report)


def _why(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):  # a skip: where, and why
        return str(report.longrepr[-1])[:300]
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
            operators[operator][_verdict(case)] += 1
    return {
        "collected": len(cases),
        "executed": len(executed),
        "float32": _counts([case for case in claimed if not case.is_half]),
        "float16": _counts([case for case in claimed if case.is_half]),
        "without_prediction": Counter(case.outcome for name, case in cases.items() if name not in executed),
        "skips": Counter(case.line for case in cases.values() if case.outcome == "skipped").most_common(),
        "operators": {name: dict(operators[name]) for name in sorted(operators)},
        "unclaimed": sorted(operators.keys() - CLAIMED),
        "failures": [_failure(name, case) for name, case in sorted(cases.items()) if case.outcome == "failed"],
        "within_a_step": {
            "reason": WITHIN_A_STEP,
            "cases": sorted(name for name, case in executed.items() if _verdict(case) == "within_a_step"),
        },
        "slowest": {name: round(case.seconds, 1) for name, case in sorted(cases.items(), key=_seconds)[-20:]},
    }


def _verdict(case: Case) -> str:
    return "within_a_step" if case.outcome == "passed" and case.steps else case.outcome


def _seconds(entry: tuple[str, Case]) -> float:
    return entry[1].seconds


def _counts(cases: list[Case]) -> dict[str, int]:
    """Of cases whose operators are all known here."""
    verdicts = Counter(_verdict(case) for case in cases)
    return {"executed": len(cases), **{verdict: verdicts[verdict] for verdict in VERDICTS}}


def _failure(name: str, case: Case) -> dict[str, Any]:
    return {
        "case": name,
        "predicted": bool(case.predictions),
        "steps": round(case.steps, 2),
        "operators": sorted(case.operators),
        "unclaimed": sorted(case.operators - CLAIMED),
        "line": case.line,
        "reason": reason(name, case.steps),
    }
