"""The networks next to a network: one choice away, smaller or larger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edge.space import SearchSpace
from edge.spec import Choice, ModelSpec

ABSENT: tuple[Choice, ...] = (0, "identity")
"""How the spaces call a block that is not there."""


@dataclass(frozen=True, slots=True)
class Move:
    """A change of one choice, in words, and the network that comes of it."""

    choice: str
    value: Choice
    action: str
    spec: ModelSpec


def down(space: SearchSpace, spec: ModelSpec) -> tuple[Move, ...]:
    """Each choice at the next value that takes less time and makes another network; and each block taken out at once.

    Behind a 3-D block every block is 3-D, so only the earliest can become 4-D.
    """
    return _distinct(move for name in space.choices for move in _down(space, spec, name))


def up(space: SearchSpace, spec: ModelSpec) -> tuple[Move, ...]:
    """Each choice at the next value that takes more time and makes another network."""
    return _distinct(
        move for name, values in space.choices.items() for move in _first(space, spec, name, _above(values, spec, name))
    )


def _down(space: SearchSpace, spec: ModelSpec, name: str) -> Iterator[Move]:
    values = space.choices[name]
    below = values[: values.index(spec.choices[name])]
    yield from _first(space, spec, name, reversed(below))
    if below and below[0] in ABSENT:
        yield from _first(space, spec, name, below[:1])


def _above(values: tuple[Choice, ...], spec: ModelSpec, name: str) -> tuple[Choice, ...]:
    return values[values.index(spec.choices[name]) + 1 :]


def _first(space: SearchSpace, spec: ModelSpec, name: str, values: Iterable[Choice]) -> Iterator[Move]:
    """The move to the first of the values that makes another network, if there is one."""
    for value in values:
        other = space.canonical(ModelSpec(space.name, {**spec.choices, name: value}))
        if other != spec:
            yield Move(name, value, f"{name} {spec.choices[name]} to {value}", other)
            return


def _distinct(moves: Iterable[Move]) -> tuple[Move, ...]:
    """Each network once, by the first move that makes it."""
    found: dict[ModelSpec, Move] = {}
    for move in moves:
        found.setdefault(move.spec, move)
    return tuple(found.values())
