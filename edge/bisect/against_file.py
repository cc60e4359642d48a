"""A file against one that was made again and is sound: operator by operator, both on the values of the suspect.

Whatever reaches an operator, its twin in the sound file gets the same. So an operator whose inputs are already wrong is not
blamed, and one whose own error is small is not hidden by what later operators make of it.
"""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Iterable, Sequence
from operator import itemgetter

from edge.bisect.culprit import Culprit, arrays, culprit, deviation
from edge.errors import BadArtifactError
from edge.parts import Operator, Parts, Values

NOISE = 0.05
"""Of the bound: an error below may come from another order of summation, where more than one operator differs at all."""
ALIKE = 0.5
"""Of the operators: where fewer bear names of the other file, another converter named them."""

Column = list[object]
"""One value for each of the inputs."""


def alike(suspect: Parts, sound: Parts) -> bool:
    """Whether the names of the two files' operators tell which belong together."""
    known = {name for operator in sound.operators for name in operator.outputs}
    paired = sum(not known.isdisjoint(operator.outputs) for operator in suspect.operators)
    return paired >= ALIKE * len(suspect.operators)


def first_bad(suspect: Parts, sound: Parts, rows: Sequence[Values], bound: float) -> Culprit | None:
    """The first operator of `suspect` that leaves `bound` by itself; when none does, the one that comes nearest to it.

    Operators that only `suspect` has are judged by the next one that both have; if that is wrong because of what they
    gave it, the first of them is blamed. None when the files' operators are equal up to noise.
    """
    bisection = _Bisection(suspect, sound, rows, bound)
    small: list[Culprit] = []
    for index in range(len(suspect.operators)):
        found = bisection.step(index)
        if found is not None and found.error is not None and found.error > bound:
            return found
        if found is not None:
            small.append(found)
    worst = max(small, key=_error, default=None)
    noise = NOISE * bound if len(small) > 1 else 0.0
    return worst if worst is not None and _error(worst) > noise else None


def _error(found: Culprit) -> float:
    return found.error or 0.0


class _Bisection:
    """Goes through the suspect's operators in order. Values go when nothing in either file needs them any more."""

    def __init__(self, suspect: Parts, sound: Parts, rows: Sequence[Values], bound: float) -> None:
        self.suspect, self.sound, self.bound = suspect, sound, bound
        columns = [list(column) for column in zip(*rows, strict=True)]
        self.values: dict[str, Column] = dict(zip(suspect.inputs, columns, strict=True))
        self.ends = _last_uses(suspect, sound)
        self.own: dict[str, Column] = dict(zip(sound.inputs, columns, strict=True))
        """Values that only the sound file has, computed from those of the suspect."""
        self.waiting: dict[str, int] = {}
        """Values of operators that only the suspect has and that nothing has cleared yet."""
        self.makers = {name: place for place, each in enumerate(sound.operators) for name in each.outputs}
        self.names = {name for each in suspect.operators for name in each.outputs}

    def step(self, index: int) -> Culprit | None:
        """Execute the operator at `index` and its twin; the one at fault where the results differ at all."""
        operator = self.suspect.operators[index]
        made = _execute(operator, [self.values[name] for name in operator.inputs])
        shared = [name for name in operator.outputs if name in self.makers]
        found = None
        if shared:
            error, blamed = max((self._judge(name, made[name], index) for name in shared), key=itemgetter(0))
            found = culprit(self.suspect.operators, blamed, error) if error > 0 else None
            for name in self._waiting_before(operator.inputs):
                del self.waiting[name]
        else:
            self.waiting |= dict.fromkeys(operator.outputs, index)
        self.values |= made
        for name in [name for name in self.values if self.ends.get(name, 0) <= index and name not in self.waiting]:
            del self.values[name]
        return found

    def _judge(self, name: str, column: Column, index: int) -> tuple[float, int]:
        """How far `column` lies from what the twin makes of the same values, and the place of the operator at fault."""
        try:
            sound = self._sound(name)
        except BadArtifactError:  # the twin refuses what the suspect's operators hand it
            return math.inf, self._origin(index, ())
        error = _deviation(sound[name], column)
        return error, self._origin(index, sound.values()) if error > self.bound else index

    def _sound(self, name: str) -> dict[str, Column]:
        """What the sound file's operators make of the suspect's values: `name`, and whatever else was needed for it."""
        wanted, needed = {name}, []
        for place in range(self.makers[name], -1, -1):
            operator = self.sound.operators[place]
            if not wanted.isdisjoint(operator.outputs):
                needed.append(operator)
                wanted.update(each for each in operator.inputs if each not in self.values and each not in self.own)
        around: dict[str, Column] = {}
        for operator in reversed(needed):
            known = ChainMap(around, self.values, self.own)
            around |= {each: known[each] for each in operator.inputs}
            around |= _execute(operator, [around[each] for each in operator.inputs])
        self.own |= {each: column for each, column in around.items() if each not in self.names}
        return around

    def _origin(self, index: int, sound: Iterable[Column]) -> int:
        """The operator at fault for a wrong result at `index`: the first before it whose value nothing sound bears out."""
        inputs = self.suspect.operators[index].inputs
        for name in self._waiting_before(inputs):
            if any(_deviation(column, self.values[name]) <= self.bound for column in sound):
                del self.waiting[name]
        return min((self.waiting[name] for name in self._waiting_before(inputs)), default=index)

    def _waiting_before(self, names: Iterable[str]) -> set[str]:
        """The values among `names`, and all that they are made of, up to those that are cleared."""
        wanted, found = list(names), set[str]()
        while wanted:
            name = wanted.pop()
            if name in self.waiting and name not in found:
                found.add(name)
                wanted += self.suspect.operators[self.waiting[name]].inputs
        return found


def _deviation(wanted: Column, found: Column) -> float:
    should, given = arrays(wanted), arrays(found)
    if should is None or given is None:
        return 0.0 if should is given else math.inf
    return deviation(should, given)


def _execute(operator: Operator, columns: Sequence[Column]) -> dict[str, Column]:
    rows = operator.run(list(zip(*columns, strict=True)))
    return {name: [row[place] for row in rows] for place, name in enumerate(operator.outputs)}


def _last_uses(suspect: Parts, sound: Parts) -> dict[str, int]:
    """After which of the suspect's operators no other one, and no twin, needs a value."""
    end = len(suspect.operators)
    places = {name: index for index, operator in enumerate(suspect.operators) for name in operator.outputs}
    last = dict(places)
    for index, operator in enumerate(suspect.operators):
        last |= dict.fromkeys(operator.inputs, index)
    for operator in sound.operators:
        due = max(places.get(name, end) for name in operator.outputs)
        last |= {name: max(last.get(name, 0), due) for name in operator.inputs}
    return last
