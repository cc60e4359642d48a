"""A file against the PyTorch program that it was made from, where even a new conversion is wrong.

The two do not pair operator by operator: a converter fuses, splits and lays out anew. So the values are compared: those of
one name, and otherwise any that hold the same numbers, in whatever order. What has no counterpart is believed when
something computed from it has one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import ExportedProgram

from edge.bisect.culprit import Culprit, arrays, culprit, deviation
from edge.expected import flatten
from edge.parts import Operator, Parts, Values
from edge.passes.capture import unlifted

Arrays = list[NDArray[Any]]
"""One value for each of the inputs."""


class Evidence(Enum):
    """What the program's values say of an operator's results."""

    EQUAL = auto()
    """The program has them."""
    DIFFERENT = auto()
    """The program has other ones of that name and shape."""
    NONE = auto()


class ProgramValues(torch.fx.Interpreter):
    """Runs a captured program on several rows of inputs and keeps every value of floating point, by its node's name."""

    def __init__(self, program: ExportedProgram, rows: Sequence[Values]) -> None:
        super().__init__(unlifted(program))
        self.named: dict[str, Arrays] = defaultdict(list)
        self.alike: dict[tuple[int, ...], list[Arrays]] = defaultdict(list)
        with torch.no_grad():
            answers = [flatten(self.run(*_tensors(program, row))) for row in rows]
        self.outputs = tuple(torch.cat(column).float().numpy() for column in zip(*answers, strict=True))
        for values in self.named.values():
            self.alike[_counts(values)].append([np.sort(each, axis=None) for each in values])

    def run_node(self, n: torch.fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, torch.Tensor) and result.is_floating_point() and n.op != "get_attr":
            self.named[n.name].append(result.float().numpy())
        return result

    def evidence(self, name: str, found: Arrays, bound: float) -> tuple[Evidence, float | None]:
        """What the program says of a value of the file, and how far off it is where that can be known."""
        wanted = self.named.get(name)
        error = deviation(wanted, found) if wanted and _shapes(wanted) == _shapes(found) else None
        if error is not None and error <= bound:
            return Evidence.EQUAL, error
        ordered = [np.sort(each, axis=None) for each in found]
        if any(deviation(each, ordered) <= bound for each in self.alike[_counts(found)]):
            return Evidence.EQUAL, 0.0
        return (Evidence.NONE if error is None else Evidence.DIFFERENT), error


def first_bad(suspect: Parts, program: ProgramValues, rows: Sequence[Values], bound: float) -> Culprit | None:
    """The first operator of `suspect` whose results neither the program nor what comes of them bears out."""
    judged = _judge(suspect, program, rows, bound)
    readers: dict[str, list[int]] = defaultdict(list)
    for index, operator in enumerate(suspect.operators):
        for name in operator.inputs:
            readers[name].append(index)
    cleared: dict[int, bool] = {}
    for index in reversed(range(len(suspect.operators))):
        evidence, _ = judged[index]
        later = [cleared[reader] for name in suspect.operators[index].outputs for reader in readers[name]]
        cleared[index] = evidence is Evidence.EQUAL or (
            # a reader may take the sound part of a wrong value, so where the program contradicts, all must be sound
            bool(later) and (all if evidence is Evidence.DIFFERENT else any)(later)
        )
    bad = next((index for index in range(len(suspect.operators)) if not cleared[index]), None)
    return None if bad is None else culprit(suspect.operators, bad, judged[bad][1])


def _judge(
    suspect: Parts, program: ProgramValues, rows: Sequence[Values], bound: float
) -> list[tuple[Evidence, float | None]]:
    """Execute the file and weigh every operator's results; the worst of several."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    values: dict[str, list[Any]] = dict(zip(suspect.inputs, columns, strict=True))
    last = {name: index for index, each in enumerate(suspect.operators) for name in (*each.inputs, *each.outputs)}
    judged = []
    for index, operator in enumerate(suspect.operators):
        results = operator.run(list(zip(*(values[name] for name in operator.inputs), strict=True)))
        made = {name: [row[place] for row in results] for place, name in enumerate(operator.outputs)}
        judged.append(_weigh(operator, made, program, bound))
        values |= made
        for name in [name for name in values if last.get(name, index) <= index]:
            del values[name]
    return judged


def _weigh(
    operator: Operator, made: dict[str, list[Any]], program: ProgramValues, bound: float
) -> tuple[Evidence, float | None]:
    found = []
    for name in operator.outputs:
        values = arrays(made[name])
        telling = values is not None and all(each.dtype.kind == "f" for each in values)
        found.append(program.evidence(name, values or [], bound) if telling else (Evidence.NONE, None))
    for evidence in (Evidence.DIFFERENT, Evidence.NONE):
        errors = [error or 0.0 for each, error in found if each is evidence]
        if errors:
            return evidence, max(errors) if evidence is Evidence.DIFFERENT else None
    return Evidence.EQUAL, None


def _tensors(program: ExportedProgram, row: Values) -> list[torch.Tensor]:
    """A file's inputs as the program takes them: a file may hold integers in fewer bits."""
    examples, _ = program.example_inputs
    return [torch.from_numpy(value).to(example.dtype) for value, example in zip(row, examples, strict=True)]


def _counts(values: Arrays) -> tuple[int, ...]:
    return tuple(each.size for each in values)


def _shapes(values: Arrays) -> list[tuple[int, ...]]:
    return [each.shape for each in values]
