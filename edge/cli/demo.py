"""`edge demo`: the whole job on handwritten digits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.cli.output import Json, Quiet, Stages, emit, say, table
from edge.cli.threads import wait_asleep
from edge.logs import log_folder

if TYPE_CHECKING:
    from edge.demo import Demo
    from edge.report.facts import FileFacts, Latency

TIMED_RUNS = 200
WARMUP_RUNS = 20


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the training, the files and the report.")] = Path("demo"),
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of training; default: the recipe's own.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds one conversion or execution may take.")] = 600,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a small network on real digits, export it to every target, prove the files equal, and write a report.

    Exit code 3 when a file is not the PyTorch model. A second run goes on where the first ended.
    """
    wait_asleep()
    from edge.demo import demo as run_demo
    from edge.protocol import TimingPlan
    from edge.report.gather import Bench
    from edge.training.watch import watcher

    with log_folder() as logs:
        bench = Bench(TimingPlan(WARMUP_RUNS, TIMED_RUNS, timeout), logs, timeout, Stages())
        made = run_demo(out, epochs, watcher(), bench)
        if as_json:
            emit("demo", _document(made))
        elif quiet:
            print(made.page)
        else:
            _print(made)
        if made.broken:
            raise typer.Exit(next(iter(made.broken.values())).code)
    if not made.sound:
        raise typer.Exit(3)


def _document(made: Demo) -> dict[str, Any]:
    seen = {each.target: {"label": each.label, "score": each.score} for each in made.seen}
    accuracy = made.report.model.accuracy
    return {
        "run": str(made.run),
        "folder": str(made.files.folder),
        "report": str(made.page),
        "accuracy": accuracy.share if accuracy is not None else None,
        "pictures": accuracy.pictures if accuracy is not None else 0,
        "sound": made.sound,
        "picture": {"path": str(made.picture), "label": made.truth},
        "artifacts": [{**_file(file, made), "top": seen.get(file.target)} for file in made.report.files],
        "missing": [
            {"target": target, "error": str(error), "hint": error.hint} for target, error in made.files.failures.items()
        ],
    }


def _file(file: FileFacts, made: Demo) -> dict[str, Any]:
    latency = file.latency
    return {
        "target": file.target,
        "path": str(made.files.folder / file.name),
        "bytes": file.bytes,
        "sha256": file.sha256,
        "verdict": file.verdict,
        "reason": file.silent or file.reason,
        "relative_error": file.relative_error,
        "accuracy": file.accuracy.share if file.accuracy is not None else None,
        "median_ms": latency.median_ms if latency is not None else None,
        "ci95_ms": [latency.low_ms, latency.high_ms] if latency is not None else None,
        "source": latency.source.value if latency is not None else None,
    }


def _print(made: Demo) -> None:
    report = made.report
    accuracy = report.model.accuracy
    seen = {each.target: f"{each.label} ({each.score:.1%})" for each in made.seen}
    if accuracy is not None:
        print(f"{report.model.name}: {accuracy.share:.2%} of {accuracy.pictures} held-out pictures, in PyTorch\n")
    table(
        ("target", "MB", "error", "verdict", "accuracy", "ms", "95 %", f"{made.picture.name} ({made.truth})"),
        [
            (
                file.target,
                f"{file.bytes / 1e6:.2f}",
                "–" if file.relative_error is None else f"{file.relative_error:.1e}",
                file.verdict,
                "–" if file.accuracy is None else f"{file.accuracy.share:.2%}",
                "–" if file.latency is None else f"{file.latency.median_ms:.3f}{_origin(file.latency)}",
                "–" if file.latency is None else f"{file.latency.low_ms:.3f} to {file.latency.high_ms:.3f}",
                seen.get(file.target, "–"),
            )
            for file in report.files
        ]
        + [(absent.target, "–", "–", absent.verdict, "–", "–", "–", "–") for absent in report.missing],
    )
    for file in report.files:
        if file.verdict != "ok":
            say(f"{file.target}: {file.verdict}: {file.silent or file.reason}")
    for target, error in made.files.failures.items():
        say(f"{target}: {error}\n  {error.hint}")
    executed = next((file for file in report.files if file.latency is not None), report.files[0])
    print(
        f"\n{_conclusion(made)}\n\nnext:\n  open {made.page}\n  edge run {made.files.folder / executed.name} {made.picture}"
    )


def _origin(latency: Latency) -> str:
    """Where a latency came from, unless it was measured."""
    return "" if latency.source.value == "measured" else f" ({latency.source.value})"


def _conclusion(made: Demo) -> str:
    from edge.report.facts import POINTS

    if made.broken:
        return f"No file for {', '.join(made.broken)}: the conversion failed."
    if made.sound:
        return f"Every executed file is the PyTorch model: accuracies within {POINTS} points, one answer to {made.picture.name}."
    return f"At least one file is NOT the PyTorch model: see {made.page}."
