"""`edge verify`: execute files and compare them with their model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.cli import model_options as options
from edge.cli.output import Json, Quiet, Stages, emit, table
from edge.cli.threads import wait_asleep
from edge.logs import log_folder

if TYPE_CHECKING:
    from edge.bisect.find import Bisection

Artifact = Annotated[
    Path, typer.Argument(metavar="ARTIFACT|FOLDER", help="A file, or a folder, that `edge export` wrote.")
]


def verify(
    artifact: Artifact,
    images: Annotated[
        Path | None, typer.Option(help="Pictures to compare on; default: cuts of two photographs.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="The model to compare with; default: the one recorded at export."),
    ] = None,
    weights: options.Weights = None,
    pretrained: options.Pretrained = False,
    mean: options.Mean = None,
    std: options.Std = None,
    seed: options.Seed = 0,
    bisect: Annotated[
        bool, typer.Option("--bisect", help="Where the file is wrong, find the first operator that is.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds the execution of one file may take.")] = 1800,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Execute a file on at least 64 inputs and hold its outputs to the PyTorch model's. Exit code 3 when they differ."""
    wait_asleep()
    from edge.verification import verify_and_bisect, verify_files

    request = options.request(against, weights, pretrained, None, None, None, mean, std, seed) if against else None
    with log_folder() as logs:
        if bisect:
            verdict, found = verify_and_bisect(
                artifact, request, images, logs=logs, timeout_s=timeout, progress=Stages()
            )
            first = None if found is None or found.first is None else found.first.fields()
            documents = [{"artifact": str(artifact), **verdict.fields(), "first_bad_op": first}]
        else:
            results = verify_files(artifact, request, images, logs=logs, timeout_s=timeout, progress=Stages())
            documents = [{"artifact": str(path), **verdict.fields()} for path, verdict in results]
    worst = max(documents, key=lambda document: SEVERITY.index(document["verdict"]))
    if as_json:
        emit("verify", {**worst, "results": documents})
    elif quiet:
        print("\n".join(str(document["artifact"]) for document in documents))
    else:
        _print(documents)
        if bisect:
            print(sentence(verdict.verdict, found))
        elif worst["verdict"] == "failed":
            print("--bisect names the operator at fault")
    if worst["verdict"] == "failed":
        raise typer.Exit(3)
    if all(document["verdict"] == "not executed" for document in documents):
        raise typer.Exit(6)


SEVERITY = ("ok", "not executed", "failed")


def _print(documents: list[dict[str, Any]]) -> None:
    table(
        ("artifact", "inputs", "error", "SQNR dB", "top-1", "verdict"),
        (
            (
                Path(document["artifact"]).name,
                _number(document["inputs"], "d"),
                _number(document["relative_error"], ".1e"),
                _number(document["sqnr_db"], ".1f"),
                _number(document["top1_agreement"], ".1%"),
                document["verdict"],
            )
            for document in documents
        ),
    )
    for document in documents:
        print(f"{Path(document['artifact']).name}: executed by {document['executed_by']}: {document['reason']}")


def sentence(verdict: str, found: Bisection | None) -> str:
    """What a bisection came to, for a person."""
    if found is None:
        return f"nothing to bisect: the file is {verdict}"
    first = found.first
    if first is None:
        return (
            f"first bad operator: none of {found.operators}; each gives what {found.measure} gives on the same values, "
            "so look at what surrounds them: the preprocessing on the card, the order of inputs and outputs"
        )
    if first.error is None:
        why = f"nothing in {found.measure} has its values"
    elif math.isinf(first.error):
        why = f"its values cannot be those of {found.measure}: another shape, or not finite"
    else:
        against = ">" if first.error > found.bound else "within the bound, but largest,"
        why = f"error {first.error:.2g} {against} {found.bound:g} against {found.measure}"
    return f"first bad operator: {first.name!r} ({first.type}), operator {first.index + 1} of {found.operators}: {why}"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
