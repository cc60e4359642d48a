"""`edge profile`: the latency of a file on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.cli.output import Json, Quiet, emit
from edge.logs import log_folder


def profile(
    artifact: Annotated[Path, typer.Argument(metavar="ARTIFACT", help="A file that `edge export` wrote.")],
    device: Annotated[str, typer.Option(help="host, or another of `edge devices`.")] = "host",
    runs: Annotated[int, typer.Option(min=1, help="Runs that count.")] = 50,
    warmup: Annotated[int, typer.Option(min=0, help="Runs before, not counted.")] = 5,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds all runs may take.")] = 600,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Time a file, batch 1, and say where the number came from."""
    from edge import plugins
    from edge.device import TimingPlan

    with log_folder() as logs:
        measured = plugins.device(device).time(artifact, TimingPlan(warmup, runs, timeout), log=logs / "profile.log")
    if as_json:
        return emit("profile", {"artifact": str(artifact), **measured.fields(), "ops": []})
    if quiet:
        return print(f"{measured.median_ms:.3f}")
    low, high = measured.ci95_ms
    spread = f"95 % interval {low:.3f} to {high:.3f}"
    print(f"{artifact.name} on {measured.device}, {measured.runtime}, {measured.threads} thread, {measured.source}")
    print(f"  median {measured.median_ms:.3f} ms ({spread}), p90 {measured.p90_ms:.3f} ms, {measured.verdict}")
    return print(
        f"  start-up {measured.init_ms:.1f} ms, peak memory {measured.peak_rss_kb / 1024:.0f} MB, {len(measured.samples_ms)} runs"
    )
