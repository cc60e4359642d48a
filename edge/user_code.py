"""Runs code that is not ours: what it prints stays off our standard output, what it raises names the line at fault."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from edge.errors import EdgeError, UsageError

_OURS = str(Path(__file__).parent)
_INSTALLED = sysconfig.get_path("purelib")


@contextmanager
def user_code(doing: str, *, hint: str = "mend that line") -> Iterator[None]:
    """Everything raised inside, `sys.exit` included, becomes a `UsageError`: `doing` failed, where, and why."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except EdgeError:
        raise
    except (Exception, SystemExit) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise UsageError(f"{doing} failed at {_place(error)}: {type(error).__name__}: {reason}", hint=hint) from error


def _place(error: BaseException) -> str:
    """file:line of the innermost frame that is neither ours nor an installed package's, else of the innermost."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith((_OURS, _INSTALLED, "<", sys.base_prefix))]
    frame = (theirs or frames)[-1]
    return f"{frame.filename}:{frame.lineno}"
