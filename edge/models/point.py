"""Points of search spaces as model references: `point:FILE.json`, or `point:{…}` with the JSON itself."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from edge.errors import UsageError
from edge.spec import ModelSpec

PREFIX = "point:"
HINT = 'a point is {"space": NAME, "choices": {NAME: VALUE, …}}'


def claims(reference: str) -> bool:
    """Whether it is a reference of this kind."""
    return reference.startswith(PREFIX)


def reference(spec: ModelSpec) -> str:
    """The one short form with the JSON itself: it needs no file, so a run folder that names it may be moved."""
    return PREFIX + json.dumps(spec.fields(), sort_keys=True, separators=(",", ":"))


def content(reference: str) -> str:
    """The JSON that a reference holds or names. Raises `UsageError` for a file that cannot be read."""
    text = reference.removeprefix(PREFIX)
    return text if text.lstrip().startswith("{") else _text(Path(text))


def spec_of(reference: str) -> ModelSpec:
    """The point that a reference names, whatever its space says to it. Raises `UsageError`."""
    return _parsed(content(reference), "the point" if "{" in reference else reference.removeprefix(PREFIX))


def read(path: Path) -> ModelSpec:
    """The point in a JSON file. Raises `UsageError`."""
    return _parsed(_text(path), str(path))


def stem(reference: str) -> str:
    """A short name for files: that of the JSON file, or the space with the first digits of the content's sha256."""
    text = reference.removeprefix(PREFIX)
    if "{" not in text:
        return Path(text).stem
    space = re.search(r'"space"\s*:\s*"(\w{1,40})"', text)
    return f"{'point' if space is None else space[1]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{path} is no point of a search space: {reason}", hint=HINT) from None


def _parsed(text: str, where: str) -> ModelSpec:
    """Other fields are left alone: a file may say what is known of its point."""
    try:
        fields: dict[str, Any] = json.loads(text)
        space, choices = fields["space"], dict(fields["choices"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        problem = f"{error} is missing" if isinstance(error, KeyError) else error
        raise UsageError(f"{where} is no point of a search space: {problem}", hint=HINT) from None
    for value in (space, *choices.values()):
        if type(value) not in (int, str):  # 16.0 and true would pass for 16 and 1
            raise UsageError(f"{where} is no point of a search space: {value!r} is no choice", hint=HINT)
    return ModelSpec(str(space), choices)
