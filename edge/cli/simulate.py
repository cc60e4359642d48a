"""`edge simulate`: a mixture-of-experts transformer on an FPGA that exists as a description."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from edge.cli.output import Json, Quiet, emit, table

if TYPE_CHECKING:
    from edge.simulator.beyond import Finding
    from edge.simulator.chip import Chip
    from edge.simulator.simulation import Simulation

Choice = TypeVar("Choice", bound=StrEnum)


def simulate(
    workload: Annotated[str, typer.Argument(metavar="WORKLOAD", help="m3vit_tiny, edge-moe, toy, …, or a .toml file.")],
    chip: Annotated[
        str, typer.Option(help="toy, zcu104, zcu102_edgemoe, zcu102_ideal_axi, or a .toml file.")
    ] = "zcu104",
    policy: Annotated[
        str, typer.Option(help="expert-reorder, token-lru, resident or task-model-swap.")
    ] = "expert-reorder",
    buffers: Annotated[
        int | None, typer.Option(min=1, help="Weight buffers; as the chip has them if not given.")
    ] = None,
    granularity: Annotated[str | None, typer.Option(help="What a weight buffer holds: expert or matrix.")] = None,
    order: Annotated[
        str | None, typer.Option(help="Of experts: index, longest-first, shortest-first or johnson.")
    ] = None,
    cache: Annotated[int | None, typer.Option(min=1, help="Experts in the cache of token-lru.")] = None,
    prefetch: Annotated[bool, typer.Option("--prefetch", help="token-lru fetches one visit ahead.")] = False,
    contention: Annotated[
        float, typer.Option(min=0, help="Bytes per cycle of the memory that camera and display take.")
    ] = 0,
    masters: Annotated[
        Path | None, typer.Option(help="A .toml file of [[master]]: camera and display as periodic bursts.")
    ] = None,
    batch_tasks: Annotated[
        bool, typer.Option("--batch-tasks", help="Also a frame of each task as one batch that shares its experts.")
    ] = False,
    prefetch_experts: Annotated[
        bool, typer.Option("--prefetch-experts", help="The last frame predicts the first expert of each layer.")
    ] = False,
    urgent: Annotated[
        str, typer.Option(metavar="TASK", help="A task whose frames go first, in a schedule with times.")
    ] = "",
    boundary: Annotated[
        str, typer.Option(help="Where an urgent frame may interrupt another: frame, expert or operation.")
    ] = "expert",
    tasks: Annotated[str, typer.Option(help="Tasks, separated by commas; all of the workload if not given.")] = "",
    schedule: Annotated[
        str, typer.Option(help="round-robin, poisson:RATE (frames/s), or a .csv file.")
    ] = "round-robin",
    routing: Annotated[str, typer.Option(help="For all tasks: uniform, zipf:EXPONENT, or an .npz file.")] = "",
    frames: Annotated[int, typer.Option(min=1, max=1_000_000, help="Frames of the schedule.")] = 100,
    deadline: Annotated[float | None, typer.Option(min=0, help="Milliseconds that a frame may take.")] = None,
    seed: Annotated[int, typer.Option(help="Of a Poisson schedule.")] = 0,
    trace: Annotated[
        Path | None, typer.Option(help="Write a Chrome trace, which Perfetto opens, of a round of tasks.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page that stands alone: a chart of the round, roofline, tables.")
    ] = None,
    explore: Annotated[
        bool, typer.Option("--explore", help="Vary the chip for one frame of the first task: the Pareto front.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Simulate a chip that switches between tasks: cycles, traffic, energy and stalls; every number is simulated."""
    from dataclasses import replace

    from edge.simulator import beyond
    from edge.simulator import masters as memory_masters
    from edge.simulator import schedule as schedules
    from edge.simulator.chip import chip as named_chip
    from edge.simulator.chip_parts import Granularity
    from edge.simulator.policies import Kind, Misses, Order, Prediction
    from edge.simulator.policies import policy as made_policy
    from edge.simulator.preemption import Boundary
    from edge.simulator.simulation import simulation
    from edge.simulator.workloads import rerouted
    from edge.simulator.workloads import workload as named_workload

    model = named_chip(chip)
    if contention:
        model = replace(model, ddr=replace(model.ddr, background_bytes_per_cycle=contention))
    if masters is not None:
        model = replace(model, ddr=replace(model.ddr, master=memory_masters.from_file(masters)))
    work = rerouted(named_workload(workload), routing) if routing else named_workload(workload)
    chosen = _names(tasks, work.task_names)
    way = made_policy(
        model,
        _member(Kind, policy, "policy"),
        buffers=buffers,
        granularity=None if granularity is None else _member(Granularity, granularity, "granularity"),
        order=None if order is None else _member(Order, order, "order"),
        cache=cache,
        misses=Misses.PREFETCH if prefetch else Misses.BLOCKING,
        prediction=Prediction.LAST_FRAME if prefetch_experts else Prediction.NONE,
    )
    if explore:
        from edge.cli.exploration import print_exploration

        _require_explorable(model, trace, beyond_one_frame=bool(batch_tasks or prefetch_experts or urgent))
        return print_exploration(work, model, way, chosen[0], html=html, as_json=as_json, quiet=quiet)
    arrivals = schedules.schedule(schedule, chosen, frames=frames, deadline_ms=deadline, seed=seed)
    result = simulation(work, model, way, chosen, arrivals)
    findings: list[beyond.Finding] = []
    if batch_tasks:
        findings.append(beyond.batch_finding(work, model, way, chosen))
    if prefetch_experts:
        findings.append(beyond.prediction_finding(work, model, way, chosen))
    if urgent:
        at = _member(Boundary, boundary, "boundary")
        findings.append(beyond.urgent_finding(work, model, way, arrivals, urgent, at))
    if model.ddr.master:
        findings.append(beyond.masters_finding(work, model, way, chosen))
    return _report(result, findings, trace=trace, html=html, as_json=as_json, quiet=quiet)


def _require_explorable(chip: Chip, trace: Path | None, *, beyond_one_frame: bool) -> None:
    """Raises `UsageError` for what an exploration of single designs cannot have."""
    from edge.errors import UsageError

    if trace is not None:
        raise UsageError("--explore writes no trace", hint="simulate one design with --trace")
    if chip.ddr.master:
        raise UsageError(
            "--explore knows no masters: only the event engine does, at twenty designs a second",
            hint="explore without them, or with a constant --contention, and simulate the design you choose with them",
        )
    if beyond_one_frame:
        raise UsageError("--explore looks at one frame of one task", hint="leave out batches, predictions and urgency")


def _report(
    result: Simulation,
    findings: Sequence[Finding],
    *,
    trace: Path | None,
    html: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write the files that are wanted and print the rest."""
    if trace is not None:
        _write_trace(result, trace)
    if html is not None:
        _write_page(result, html)
    written = {name: None if path is None else str(path) for name, path in (("trace", trace), ("html", html))}
    if as_json:
        return emit("simulate", {**result.fields(), **written, **{each.name: each.fields for each in findings}})
    if quiet:
        for path in filter(None, written.values()):
            print(path)
        return None
    _print(result)
    for finding in findings:
        print(f"  {finding.line}")
    return None


def _names(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The tasks that a user lists, all when none. Raises `UnknownNameError`."""
    from edge.suggest import unknown

    names = tuple(name.strip() for name in text.split(",") if name.strip()) or known
    for name in names:
        if name not in known:
            raise unknown("task", name, known)
    return names


def _member(kind: type[Choice], text: str, noun: str) -> Choice:
    """The member that a user names. Raises `UnknownNameError`."""
    from edge.suggest import unknown

    if text not in list(kind):
        raise unknown(noun, text, list(kind))
    return kind(text)


def _write_trace(result: Simulation, path: Path) -> None:
    import json

    from edge.simulator.timeline import simulate as timeline_of
    from edge.simulator.trace import chrome_trace
    from edge.whole import write_text

    round_of_tasks = timeline_of(result.workload, result.chip, result.policy, result.tasks)
    write_text(path, json.dumps(chrome_trace(round_of_tasks)))


def _write_page(result: Simulation, path: Path) -> None:
    from edge.simulator.page import render
    from edge.whole import write_text

    write_text(path, render(result))


def _print(result: Simulation) -> None:
    fields = result.fields()
    energy, stalls = fields["energy_mj"], fields["stalls"]
    print(
        f"{fields['workload']} on simulated:{fields['chip']}, {fields['policy']}, task {fields['task']}, "
        f"routing {fields['routing']}; every number is simulated"
    )
    print(f"  {fields['cycles']:,} cycles, {fields['latency_ms']:.3f} ms a frame\n")
    table(
        ("operation", "count", "cycles", "share", "compute", "load", "DRAM bytes"),
        (
            (
                row["name"],
                f"{row['count']}",
                f"{row['cycles']:,}",
                f"{row['cycles'] / fields['cycles']:.1%}",
                f"{row['compute_cycles']:,}",
                f"{row['load_cycles']:,}",
                f"{row['dram_bytes']:,}",
            )
            for row in fields["ops"]
        ),
    )
    spent = ", ".join(f"{name} {cycles / fields['cycles']:.1%}" for name, cycles in stalls.items())
    print(f"\n  cycles spent on: {spent}")
    busy = ", ".join(f"{name} {share:.1%}" for name, share in fields["unit_utilisation"].items())
    print(f"  busy: {busy}; arrays at full rate {fields['utilisation']:.1%}")
    print(f"  on chip {fields['on_chip_peak_bytes']:,} bytes at most, of {fields['on_chip_bytes']:,}")
    fitted = f"; fitted or assumed: {', '.join(fields['energy_calibrated'])}" if fields["energy_calibrated"] else ""
    parts = ", ".join(f"{name} {value:.3g}" for name, value in energy.items() if name != "total")
    print(f"  energy {energy['total']:.3g} mJ ({parts}{fitted})")
    print(f"  a task switch costs {fields['switch_overhead_cycles']:,} cycles")
    print(
        f"  {fields['frames']} frames: median {fields['p50_ms']:.3f} ms, p99 {fields['p99_ms']:.3f} ms, "
        f"{fields['deadline_misses']} deadlines missed"
    )
