"""Nearest names for a name that does not exist."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from edge.errors import UnknownNameError


def unknown(noun: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for an unknown `name`: the nearest known names, or all of them when none is near."""
    choices = sorted(known)
    near = get_close_matches(name, choices, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(choices)}"
    return UnknownNameError(f"no {noun} named {name!r}", hint=hint)
