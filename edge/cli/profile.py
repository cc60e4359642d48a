"""`edge profile`: the latency of a file on a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.cli.output import Json, Quiet, emit, table
from edge.errors import BadArtifactError, UsageError
from edge.logs import log_folder

if TYPE_CHECKING:
    from edge.measurement import Measurement
    from edge.operator_times import OperatorTime
    from edge.protocol import TimingPlan

    Operators = tuple[OperatorTime, ...]

ALL = "all"


def profile(
    artifact: Annotated[Path, typer.Argument(metavar="ARTIFACT", help="A file that `edge export` wrote.")],
    device: Annotated[str, typer.Option(help="host, another of `edge devices`, or all that are attached.")] = "host",
    runs: Annotated[int, typer.Option(min=1, help="Runs of a round; all rounds count.")] = 50,
    warmup: Annotated[int, typer.Option(min=0, help="Runs before each round, not counted.")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the runtime.")] = 1,
    budget: Annotated[float, typer.Option(min=0, help="Seconds that further rounds may take while it is noisy.")] = 10,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds a round may take.")] = 600,
    ops: Annotated[bool, typer.Option("--ops", help="Also the time of each operator.")] = False,
    against: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Also the operators of this model in PyTorch, on this machine.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page that stands alone: every run, operators.")] = None,
    runner: Annotated[
        Path | None, typer.Option(metavar="NAME|PATH", help="The program that runs the file on a phone or board.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the file on the device, so that it is sent once.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Time a file, batch 1, and say where the number came from."""
    from edge import plugins
    from edge.protocol import TimingPlan

    if device == ALL:
        if against is not None or html is not None:
            raise UsageError(
                "--device all takes no --against and no --html", hint="profile one device at a time for these"
            )
        given = {"--runs": runs, "--warmup": warmup, "--threads": threads, "--budget": budget, "--timeout": timeout}
        words = [str(word) for pair in given.items() for word in pair]
        words += [] if runner is None else ["--runner", str(runner)]
        words += [name for name, wanted in (("--ops", ops), ("--keep", keep)) if wanted]
        return _profile_on_all(artifact, words, as_json=as_json, quiet=quiet)
    plan = TimingPlan(warmup, runs, timeout, threads, budget, runner=runner, keep=keep)
    chosen = plugins.device(device)
    plugins.require_runnable(chosen, artifact)
    with log_folder() as logs:
        operators = chosen.operators(artifact, plan, log=logs / "operators.log") if ops else ()  # refused before timing
        reference = () if against is None else _in_pytorch(against, plan)
        measured = chosen.time(artifact, plan, log=logs / "profile.log")
        if not measured.precision:
            measured = replace(measured, precision=_precision(artifact, logs))
    if html is not None:
        _write_page(html, artifact, measured, operators, reference)
    if as_json:
        lists = {"ops": operators, "reference_ops": reference}
        listed = {name: [each.fields() for each in times] for name, times in lists.items()}
        return emit(
            "profile",
            {"artifact": str(artifact), **measured.fields(), **listed, "html": None if html is None else str(html)},
        )
    if quiet:
        return print(f"{measured.median_ms:.3f}")
    _print(artifact, measured)
    for name, times in ((artifact.name, operators), (f"{against} in PyTorch, operators called one by one", reference)):
        if times:
            _print_operators(name, times)
    return None


def _precision(artifact: Path, logs: Path) -> str:
    """As the card inside the file says; empty for a file that edge did not write."""
    from edge.verification import read_card

    try:
        return read_card(artifact, logs).precision
    except BadArtifactError:
        return ""


def _in_pytorch(model: str, plan: TimingPlan) -> tuple[OperatorTime, ...]:
    from edge.models.sources import resolve
    from edge.pytorch_operators import operator_times
    from edge.reference import ModelRequest

    return operator_times(resolve(ModelRequest(model)), warmup=plan.warmup, runs=plan.runs, threads=plan.threads)


def _write_page(path: Path, artifact: Path, measured: Measurement, operators: Operators, reference: Operators) -> None:
    from edge.report.profile import render
    from edge.whole import write_text

    write_text(path, render(artifact.name, measured, operators, reference))


def _profile_on_all(artifact: Path, words: list[str], *, as_json: bool, quiet: bool) -> None:
    """On every attached device at once. Ends with the exit code of the first that failed."""
    from edge import at_once

    addresses = at_once.able(artifact)
    documents = at_once.each(
        [["profile", "--json", "--device", address, *words, "--", str(artifact)] for address in addresses]
    )
    if as_json:
        profiles = [{"device": address, **each} for address, each in zip(addresses, documents, strict=True)]
        emit("profile", {"artifact": str(artifact), "profiles": profiles})
    elif quiet:
        print("\n".join(f"{each['median_ms']:.3f}" if "median_ms" in each else "" for each in documents))
    else:
        table(
            ("device", "median ms", "p95 ms", "verdict", "source", "runtime"),
            (_row(address, each) for address, each in zip(addresses, documents, strict=True)),
        )
    failed = [each["code"] for each in documents if "code" in each]
    if failed:
        raise typer.Exit(failed[0])


def _row(address: str, document: Mapping[str, Any]) -> tuple[str, ...]:
    if "error" in document:
        return (address, "–", "–", "failed", "–", document["error"])
    numbers = (f"{document[name]:.3f}" for name in ("median_ms", "p95_ms"))
    return (address, *numbers, document["verdict"], document["source"], document["runtime"])


def _print(artifact: Path, measured: Measurement) -> None:
    low, high = measured.ci95_ms
    threads = "1 thread" if measured.threads == 1 else f"{measured.threads} threads"
    memory = "not available" if measured.peak_rss_kb is None else f"{measured.peak_rss_kb / 1024:.0f} MB"
    energy = "not available" if measured.energy_mj is None else f"{measured.energy_mj:.2f} mJ a run, the whole device"
    print(f"{artifact.name} on {measured.device}, {measured.runtime}, {threads}, {measured.source}")
    print(
        f"  median {measured.median_ms:.3f} ms (95 % interval {low:.3f} to {high:.3f}), p90 {measured.p90_ms:.3f} ms, "
        f"p95 {measured.p95_ms:.3f} ms, {measured.verdict}"
    )
    print(
        f"  start-up {measured.init_ms:.1f} ms, peak memory {memory}, {len(measured.samples_ms)} runs, energy {energy}"
    )


def _print_operators(name: str, operators: Operators) -> None:
    from edge.operator_times import outside_delegates

    total = sum(each.ms for each in operators)
    print(
        f"\n{name}: {len(operators)} operators, {total:.3f} ms, {outside_delegates(operators):.1%} of it outside delegates"
    )
    table(
        ("operator", "type", "ms", "share", "run by"),
        (
            (each.name, each.type, f"{each.ms:.3f}", f"{each.ms / total:.1%}", each.delegate or "runtime")
            for each in sorted(operators, key=lambda each: -each.ms)
        ),
    )
