"""The tag of a latency table: everything that decides a block's time, so that no two of them are ever mixed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from edge.errors import UsageError
from edge.measurement import Measurement
from edge.space import SearchSpace
from edge.spec import Precision

METHOD = 1
"""Counts the changes of `pieces.terms` and of the statistic: times that were obtained differently do not add up."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a user asks of a table: where to run (a device's address), in which format, and for which space."""

    address: str
    target: str
    precision: Precision
    threads: int
    space: str
    image_size: tuple[int, int]
    num_classes: int

    @classmethod
    def of(cls, space: SearchSpace, address: str, target: str, precision: Precision, threads: int) -> Setup:
        """With the name and the sizes of `space`."""
        return cls(address, target, precision, threads, space.name, space.image_size, space.num_classes)


@dataclass(frozen=True, slots=True)
class Tag:
    """A setup on the very device and runtime that were found: `device` is the fingerprint of its kind, model and system."""

    setup: Setup
    device: str
    described: str
    runtime: str
    method: int = METHOD

    @classmethod
    def found(cls, setup: Setup, measured: Measurement) -> Tag:
        """The tag of a table whose times come from where `measured` came from."""
        fingerprint = measured.device if measured.info is None else measured.info.fingerprint
        return cls(setup, fingerprint, measured.device, measured.runtime)

    def to_json(self) -> str:
        """Canonical JSON: equal tags are equal texts."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Tag:
        """The inverse of `to_json`. Raises `UsageError` for text that is no tag."""
        try:
            fields: dict[str, Any] = json.loads(text)
            setup = fields.pop("setup")
            height, width = setup.pop("image_size")
            precision = Precision(setup.pop("precision"))
            return cls(setup=Setup(precision=precision, image_size=(height, width), **setup), **fields)
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"the tag of the table cannot be read: {error}", hint="build the table again") from error

    def decides(self) -> dict[str, object]:
        """What two tables must share, by name; a device's address is only the way to it."""
        setup = asdict(self.setup)
        del setup["address"]
        height, width = setup.pop("image_size")
        return {
            "device": self.device,
            "runtime": self.runtime,
            **setup,
            "image_size": f"{height}x{width}",
            "method": self.method,
        }

    def refuse(self, wanted: Tag) -> None:
        """Raise `UsageError` that says both sides of every difference."""
        own, other = self.decides(), wanted.decides()
        apart = [f"{name} {own[name]}, not {other[name]}" for name in own if own[name] != other[name]]
        if apart:
            raise UsageError(
                f"the table is of another measurement: {'; '.join(apart)}",
                hint="build a table of its own with --table OTHER",
            )
