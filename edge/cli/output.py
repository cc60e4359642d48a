"""What every command prints: one JSON document, or paths, or a table; progress goes to standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer

from edge.text_table import text_table

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only the paths made.")]


def emit(command: str, document: Mapping[str, Any]) -> None:
    """Print the JSON document of a command."""
    print(json.dumps({"schema": f"edge.{command}/1", **document}, indent=2, allow_nan=False))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their headings."""
    print(text_table(columns, rows))


def say(text: str) -> None:
    """A line for a person, on standard error."""
    print(text, file=sys.stderr)


class Stages:
    """Prints one line per stage with the time since the start, on a terminal only."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, who: str, stage: str) -> None:
        if sys.stderr.isatty():
            say(f"{time.monotonic() - self._started:7.1f} s  {who:<24} {stage}")
