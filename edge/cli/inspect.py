"""`edge inspect`: the card, the operators and the delegates of a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edge.cli.output import Json, Quiet, emit, table
from edge.lint import shortened
from edge.logs import log_folder


def inspect(
    artifact: Annotated[Path, typer.Argument(metavar="ARTIFACT", help="A file that `edge export` wrote.")],
    lint: Annotated[
        bool,
        typer.Option("--lint", help="What may keep an accelerator from running the file: hints, with their sources."),
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what is inside a file."""
    from edge import plugins, whole
    from edge.verification import describe

    plugins.exporter_for(artifact)
    with log_folder() as logs:
        found = describe(artifact, logs)
    card, contents = json.loads(str(found["card"])), found["contents"]
    delegates = {name: contents[name] for name in ("partitions", "inside", "outside")}
    if as_json:
        document = {
            "artifact": str(artifact),
            "bytes": whole.size(artifact),
            "sha256": whole.sha256(artifact),
            "card": card,
            "operators": contents["operators"],
            "delegates": delegates,
            "lint": found["lint"],
        }
        return emit("inspect", document)
    if quiet:
        return print(artifact)
    print(f"{artifact}  {whole.size(artifact) / 1e6:.2f} MB\n")
    for name, value in card.items():
        print(f"{name:>12}  {_short(value)}")
    shared = (
        f"{delegates['partitions']} partitions, {delegates['inside']} operators inside, {delegates['outside']} outside"
    )
    print(f"{'delegates':>12}  {shared}\n")
    table(
        ("operator", "count"),
        ((name, str(count)) for name, count in sorted(contents["operators"].items(), key=lambda item: -item[1])),
    )
    return _print_hints(found["lint"]) if lint else None


def _print_hints(hints: list[dict[str, Any]]) -> None:
    """Hints as sentences; only the device itself decides what it runs."""
    print("\nHints, not facts: what others observed; the device alone decides." if hints else "\nNo rule applies.")
    for hint in hints:
        print(f"\n{hint['rule']}: {hint['text']}")
        print(f"  {hint['count']} operators: {shortened(hint['operators'])}")
        print(f"  source: {hint['source']}")


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 160 else text[:157] + "..."
