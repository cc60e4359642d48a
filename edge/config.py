"""Options from `edge.toml` or `[tool.edge]` of `pyproject.toml` in the working folder; flags win."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from edge.errors import UsageError
from edge.suggest import unknown


def defaults(folder: Path, command: Any) -> dict[str, dict[str, Any]]:
    """Defaults per verb, as the command line takes them: `[export] target = ["tflite"]`.

    Raises `UsageError` for a file that is no TOML, and for tables or options that no command has.
    """
    path, tables = _read(folder)
    found: dict[str, dict[str, Any]] = {}
    for verb, options in tables.items():
        if verb not in command.commands:
            raise unknown(f"command for [{verb}] in {path}", verb, command.commands)
        if not isinstance(options, dict):
            raise UsageError(f"{verb} in {path} is not a table", hint=f"write [{verb}] and options below it")
        known = {parameter.name for parameter in command.commands[verb].params}
        named = {option.replace("-", "_"): value for option, value in options.items()}
        if strange := sorted(set(named) - known):
            raise unknown(f"option of `edge {verb}` in {path}", strange[0], known)
        found[verb] = named
    return found


def _read(folder: Path) -> tuple[Path, dict[str, Any]]:
    own, project = folder / "edge.toml", folder / "pyproject.toml"
    if own.is_file():
        return own, _toml(own)
    if project.is_file():
        return project, _toml(project).get("tool", {}).get("edge", {})
    return own, {}


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path} cannot be read: {error}", hint="mend it, or move it away") from None
