"""Reads a TOML table into a frozen dataclass: unknown and missing keys, wrong types and impossible values are refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from edge.errors import UsageError

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Between:
    """The values that a number may have: low ≤ value ≤ high, or low < value ≤ high where `above` says so."""

    low: float
    high: float = 1e15
    above: bool = False

    def __str__(self) -> str:
        lower = f"above {self.low:g}" if self.above else f"at least {self.low:g}"
        return lower if self.high == 1e15 else f"{lower} and at most {self.high:g}"

    def allows(self, value: float) -> bool:
        return (value > self.low if self.above else value >= self.low) and value <= self.high


Count = Annotated[int, Between(1)]
Natural = Annotated[int, Between(0)]
Positive = Annotated[float, Between(0, above=True)]
NotNegative = Annotated[float, Between(0)]
Share = Annotated[float, Between(0, 1, above=True)]


def read(kind: type[Value], table: Mapping[str, Any], where: str) -> Value:
    """`table` as a `kind`. Raises `UsageError` that names the key and says what would be allowed."""
    hints = _hints(kind)
    for key in table:
        if key not in hints:
            near = get_close_matches(key, hints, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(hints)}"
            raise UsageError(f"{where}: unknown key {key!r}", hint=hint)
    needed = [field.name for field in fields(kind) if field.default is MISSING]  # type: ignore[arg-type]
    if missing := [key for key in needed if key not in table]:
        raise UsageError(f"{where}: {missing[0]!r} is missing", hint=f"write all of: {', '.join(needed)}")
    return kind(**{key: _value(hints[key], value, f"{where}: {key}") for key, value in table.items()})


def check(value: object, where: str) -> None:
    """Refuse a dataclass of which a number lies outside its `Between`. Raises `UsageError`."""
    for key, hint in _hints(type(value)).items():
        if get_origin(hint) is Annotated:
            _value(hint, getattr(value, key), f"{where}: {key}")


_HINTS: dict[object, dict[str, Any]] = {}


def _hints(kind: object) -> dict[str, Any]:
    """The annotations of a dataclass, worked out once: a search makes thousands of chips."""
    if kind not in _HINTS:
        _HINTS[kind] = get_type_hints(kind, include_extras=True)
    return _HINTS[kind]


def _value(hint: Any, value: Any, where: str) -> Any:
    if get_origin(hint) is Annotated:
        kind, *limits = get_args(hint)
        number = _value(kind, value, where)
        for limit in limits:
            if not limit.allows(number):
                raise UsageError(f"{where} is {value}, which is impossible", hint=f"it must be {limit}")
        return number
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise UsageError(f"{where} is not a list", hint="write it in square brackets")
        return tuple(_value(get_args(hint)[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise UsageError(f"{where} is not a table", hint="write it as a [table] with keys")
        return read(hint, value, where)  # type: ignore[arg-type]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        if value not in [member.value for member in hint]:
            raise UsageError(f"{where} is {value!r}", hint=f"it must be one of: {', '.join(hint)}")
        return hint(value)
    return _plain(hint, value, where)


def _plain(kind: type, value: Any, where: str) -> Any:
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{where} is {value!r}, not a {kind.__name__}", hint=f"give a {kind.__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{where} is {value}, which is impossible", hint="give a finite number")
    return value
