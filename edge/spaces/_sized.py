"""Choices that depend on the size of the pictures: the table for the largest pictures that these are not smaller than."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from edge.errors import UsageError


class Sized(Protocol):
    """What is to be had for pictures whose shorter side has at least `least_side` pixels."""

    @property
    def least_side(self) -> int:
        """In pixels."""


Table = TypeVar("Table", bound=Sized)


def fitting(tables: Sequence[Table], image_size: tuple[int, int], space: str) -> Table:
    """The first that `image_size` (height, width) is large enough for, largest first. Raises `UsageError`."""
    for table in tables:
        if min(image_size) >= table.least_side:
            return table
    raise UsageError(
        f"{space} has no networks for pictures of {image_size[0]}x{image_size[1]} pixels",
        hint=f"both sides must be at least {tables[-1].least_side}",
    )
