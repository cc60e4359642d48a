"""The entry of the `edge` command: runs it, and turns every error into one message and a documented exit code."""

from __future__ import annotations

import errno
import json
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NoReturn

import typer

from edge.cli import app
from edge.config import defaults
from edge.errors import EdgeError, InternalError, UsageError

CommandLineError: type[Exception] = typer.BadParameter.__mro__[1]  # typer's UsageError, which it does not export
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
FULL_DISK = {errno.ENOSPC, errno.EDQUOT}


def main() -> None:
    """Run the command line and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(sys.argv[1:]))


def _terminate(number: int, frame: object) -> NoReturn:  # noqa: ARG001
    """Unwind as Ctrl-C does, so that workers end and devices are left as they were found."""
    raise SystemExit(128 + number)


def run(arguments: list[str]) -> int:
    """Run one command; returns its exit code."""
    as_json = "--json" in arguments
    command = typer.main.get_command(app)
    try:
        code = command.main(
            arguments, prog_name="edge", standalone_mode=False, default_map=defaults(Path.cwd(), command)
        )
        return code if isinstance(code, int) else 0
    except EdgeError as error:
        return report(error, as_json=as_json)
    except CommandLineError as error:
        return report(_usage(error), as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        return report(_system(error), as_json=as_json)
    except Exception as error:
        return report(_bug(error), as_json=as_json)


def report(error: EdgeError, *, as_json: bool) -> int:
    """Say what is wrong and what would work; returns the exit code."""
    if as_json:
        print(json.dumps({"schema": "edge.error/1", "code": error.code, "error": str(error), "hint": error.hint}))
    else:
        print(f"edge: {error}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}" if "\n" not in error.hint else error.hint, file=sys.stderr)
    return error.code


def _usage(error: Exception) -> UsageError:
    message = getattr(error, "format_message", error.__str__)()
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "edge"
    return UsageError(message, hint=f"see {path} --help")


def _system(error: OSError) -> EdgeError:
    """A full disk, a folder without write permission, and the like are the user's to mend."""
    what = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
    if error.errno in FULL_DISK:
        return UsageError(what, hint="make room, or give another --out")
    if error.errno in {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENAMETOOLONG,
        errno.ENOENT,
    }:
        return UsageError(what, hint="give a path that exists and can be written")
    return _bug(error)


def _bug(error: Exception) -> InternalError:
    with tempfile.NamedTemporaryFile("w", prefix="edge-", suffix=".log", delete=False) as log:
        traceback.print_exception(error, file=log)
    return InternalError(
        f"this is a fault of edge itself: {type(error).__name__}: {error}", hint=f"please report it with {log.name}"
    )


if __name__ == "__main__":
    main()
