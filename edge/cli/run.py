"""`edge run`: classify pictures with an exported file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.cli.output import Json, Quiet, emit, table


def run(
    artifact: Annotated[Path, typer.Argument(metavar="ARTIFACT", help="A file that `edge export` wrote.")],
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURE...", help="PNG, JPEG, WebP or BMP files.")],
    top_k: Annotated[int, typer.Option(min=1, help="Classes to show per picture.")] = 5,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds the execution may take.")] = 600,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Classify pictures with the preprocessing and labels stored in the file."""
    from edge.classify import classify

    results = classify(artifact, pictures, top_k=top_k, timeout_s=timeout)
    if as_json:
        return emit("run", {"artifact": str(artifact), "results": results})
    if quiet:
        return print("\n".join(result["top"][0]["label"] for result in results))
    for result in results:
        print(result["picture"])
        table(
            ("label", "index", "score"),
            ((row["label"], str(row["index"]), f"{row['score']:.4f}") for row in result["top"]),
        )
        print()
    return None
