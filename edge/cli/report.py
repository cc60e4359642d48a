"""`edge report`: one page about an export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.cli.output import Json, Quiet, Stages, emit
from edge.logs import log_folder


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A folder that `edge export` or `edge train` wrote.")
    ],
    out: Annotated[Path | None, typer.Option(help="The page; default: report.html in FOLDER.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs of each file.")] = 50,
    warmup: Annotated[int, typer.Option(min=0, help="Runs before, not counted.")] = 5,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds the execution of one file may take.")] = 600,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Execute and time the files of FOLDER here, and write one self-contained HTML page about them."""
    from edge import whole
    from edge.protocol import TimingPlan
    from edge.report.find import find
    from edge.report.gather import Bench, gather
    from edge.report.page import render

    found = find(folder)
    page = out or folder / "report.html"
    with log_folder() as logs:
        gathered = gather(found, (), Bench(TimingPlan(warmup, runs, timeout), logs, timeout, Stages()))
    whole.write_text(page, render(gathered))
    if as_json:
        return emit("report", {"path": str(page)})
    if quiet:
        return print(page)
    return print(f"{page}: {len(gathered.files)} files of {gathered.model.name}")
