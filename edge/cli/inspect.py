"""`edge inspect`: the card, the operators and the delegates of a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edge.cli.output import Json, Quiet, emit, table
from edge.lint import shortened
from edge.logs import log_folder
from edge.numerics import LOST_BITS


def inspect(
    artifact: Annotated[Path, typer.Argument(metavar="ARTIFACT", help="A file that `edge export` wrote.")],
    lint: Annotated[
        bool,
        typer.Option("--lint", help="What may keep an accelerator from running the file: hints, with their sources."),
    ] = False,
    numerics: Annotated[
        bool, typer.Option("--numerics", help="What float16 would cost each operator: overflow, underflow, bits lost.")
    ] = False,
    lost_bits: Annotated[
        float, typer.Option(min=0, max=11, help="With --numerics: bits that an operator may lose unmentioned.")
    ] = LOST_BITS,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what is inside a file."""
    from edge import plugins, whole
    from edge.verification import describe, float16_costs

    plugins.exporter_for(artifact)
    with log_folder() as logs:
        found = describe(artifact, logs)
        costs = float16_costs(artifact, logs, lost_bits) if numerics else None
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
            **({} if costs is None else {"numerics": costs}),
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
    if lint:
        _print_hints(found["lint"])
    return None if costs is None else _print_costs(costs)


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


def _print_costs(costs: dict[str, Any]) -> None:
    operators, flagged = costs["operators"], costs["flagged"]
    print(f"\nIn float16, over {costs['inputs']} inputs: {len(flagged)} of {len(operators)} operators suffer.")
    if flagged:
        table(
            ("operator", "type", "what float16 does to it"),
            ((each["name"], each["type"], "; ".join(each["why"])) for each in operators if each["why"]),
        )
