"""Executes a file in a process of its own and holds its outputs to its model's."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge import plugins
from edge.card import Card
from edge.errors import BadArtifactError, NotExecutableHereError
from edge.tolerances import TOLERANCES
from edge.verify import FAILED, NOT_EXECUTED, Verdict, compare, judge
from edge.worker import Job, run

if TYPE_CHECKING:
    from edge.expected import Expected


def check(path: Path, expected: Expected, *, log: Path, timeout_s: float) -> Verdict:
    """Execute the file on the inputs of `expected`, fed as its own card says, and judge it by its precision's tolerance.

    A file that no runtime here can execute gets the verdict `not executed`. Raises `BadArtifactError` when the runtime
    refuses the file or dies of it.
    """
    runtime = plugins.exporter_for(path).executed_by()
    with tempfile.TemporaryDirectory(prefix="edge-check-") as scratch:
        probe = Path(scratch) / "probe.npz"
        expected.save(probe)
        try:
            text, outputs = _run("answer", path, {"probe": str(probe)}, Path(scratch), log, timeout_s)
        except NotExecutableHereError as error:
            return Verdict(NOT_EXECUTED, str(error), "nothing")
    try:
        return judge(compare(expected.outputs, outputs), TOLERANCES[Card.from_json(text).precision], runtime)
    except ValueError as error:
        return Verdict(FAILED, str(error), runtime)


def execute(path: Path, inputs: list[NDArray[Any]], *, log: Path, timeout_s: float) -> list[NDArray[Any]]:
    """The file's outputs (N, ...) for inputs (N, ...), run one at a time in a worker process."""
    with tempfile.TemporaryDirectory(prefix="edge-execute-") as scratch:
        given = Path(scratch) / "inputs.npz"
        np.savez(given, *inputs)
        return _run("execute", path, {"inputs": str(given)}, Path(scratch), log, timeout_s)[1]


def _run(
    task: str, path: Path, arguments: dict[str, str], scratch: Path, log: Path, timeout_s: float
) -> tuple[Any, list[NDArray[Any]]]:
    """What a task of `edge.tasks` returned, and the outputs that it saved."""
    found = scratch / "outputs.npz"
    arguments = {**arguments, "path": str(path), "outputs": str(found)}
    value = run(Job(f"edge.tasks:{task}", arguments, log, f"executing {path.name}", BadArtifactError, timeout_s))
    with np.load(found) as outputs:
        return value, list(outputs.values())
