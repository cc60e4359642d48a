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


def check(path: Path, card: Card, expected: Expected, *, log: Path, timeout_s: float) -> Verdict:
    """Execute the file on the inputs of `expected` and judge it by the tolerance of its precision.

    A file that no runtime here can execute gets the verdict `not executed`. Raises `BadArtifactError` when the runtime
    refuses the file or dies of it.
    """
    runtime = plugins.exporter_for(path).executed_by()
    try:
        outputs = execute(path, expected.inputs_for(card), log=log, timeout_s=timeout_s)
    except NotExecutableHereError as error:
        return Verdict(NOT_EXECUTED, str(error), "nothing")
    try:
        return judge(compare(expected.outputs, outputs), TOLERANCES[card.precision], runtime)
    except ValueError as error:
        return Verdict(FAILED, str(error), runtime)


def execute(path: Path, inputs: list[NDArray[Any]], *, log: Path, timeout_s: float) -> list[NDArray[Any]]:
    """The file's outputs (N, ...) for inputs (N, ...), run one at a time in a worker process."""
    with tempfile.TemporaryDirectory(prefix="edge-execute-") as scratch:
        given, found = Path(scratch) / "inputs.npz", Path(scratch) / "outputs.npz"
        np.savez(given, *inputs)
        arguments = {"path": str(path), "inputs": str(given), "outputs": str(found)}
        run(Job("edge.tasks:execute", arguments, log, f"executing {path.name}", BadArtifactError, timeout_s))
        with np.load(found) as outputs:
            return list(outputs.values())
