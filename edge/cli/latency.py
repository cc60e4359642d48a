"""`edge latency`: tables of the times of a search space's blocks on a device, and what a network of them takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.cli.output import Json, Quiet, Stages, emit, table
from edge.cli.threads import wait_asleep
from edge.logs import log_folder

if TYPE_CHECKING:
    from edge.latency.bench import Effort, Progress
    from edge.latency.table import LatencyTable

latency = typer.Typer(
    help="Tables of block latencies on a device: build, predict, check, import.", no_args_is_help=True
)

Table = Annotated[Path, typer.Option("--table", metavar="FILE", help="The table, an SQLite file.")]
Budget = Annotated[
    float, typer.Option(min=0.01, help="Seconds that one pass over one file may take; there are nine or more of each.")
]
COMMAND = "latency"


@latency.command()
def build(
    space: Annotated[str, typer.Option(help="efficientformer, efficientvit, …")],
    table_file: Table,
    device: Annotated[str, typer.Option(help="host, or another of `edge devices`.")] = "host",
    target: Annotated[str, typer.Option(help="tflite, executorch, onnx, …")] = "tflite",
    precision: Annotated[str, typer.Option(help="fp32 or fp16.")] = "fp32",
    threads: Annotated[int, typer.Option(min=1, help="Threads of the runtime.")] = 1,
    image_size: Annotated[str, typer.Option(metavar="N|HxW", help="Input size in pixels.")] = "224",
    classes: Annotated[int, typer.Option(min=1, help="Outputs of the networks.")] = 1000,
    spec: Annotated[
        list[str] | None,
        typer.Option(metavar="SPEC.json|MEMBER", help="Only the blocks of this network; may be given several times."),
    ] = None,
    networks: Annotated[
        int | None, typer.Option(min=6, help="Only the blocks of so many random networks; default: of all.")
    ] = None,
    budget: Budget = 0.25,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure the blocks of a search space that the table does not have yet. Goes on where an earlier build ended."""
    wait_asleep()
    from edge import plugins
    from edge.cli.model_options import image_size as size_of
    from edge.latency import build as builder
    from edge.latency.start import bench_of, spec_of
    from edge.latency.table import LatencyTable
    from edge.latency.tag import Setup
    from edge.spec import Precision

    size = size_of(image_size) or (224, 224)
    chosen = plugins.space(space, size, classes)
    setup = Setup.of(chosen, device, target, _precision(Precision, precision), threads)
    points = [*(spec_of(chosen, each) for each in spec or ()), *builder.drawn(chosen, networks or 0)]
    with log_folder() as logs, bench_of(chosen, setup, _effort(budget), logs / "latency.log") as bench:
        found = LatencyTable.create(table_file, bench.tag())
        blocks = [block for point in points for block in chosen.blocks(point)] or chosen.every_block()
        builder.build(bench, found, blocks, _progress())
    if as_json:
        return emit(COMMAND, _table_fields(found))
    if quiet:
        return print(table_file)
    print(f"{table_file}: {len(found.blocks())} blocks of {space} on {found.tag.described}, {found.tag.runtime}")
    return print(f"  and {found.intercept_ms:.4f} ms for every network")


@latency.command()
def predict(
    network: Annotated[str, typer.Argument(metavar="SPEC.json|MEMBER", help="A point of the table's search space.")],
    table_file: Table,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure the blocks that the table does not know, and keep them.")
    ] = False,
    budget: Budget = 0.25,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Predict a network's latency: the sum of its blocks, all of them measured; nothing is interpolated."""
    from edge.latency.start import space_of, spec_of
    from edge.latency.table import LatencyTable

    found = LatencyTable.open(table_file)
    space = space_of(found.tag.setup)
    spec = spec_of(space, network)
    blocks = space.blocks(spec)
    if measure and found.missing(blocks):
        _measure(found, blocks, budget)
    predicted_ms = found.predict_ms(blocks)
    times = found.blocks()
    own = [(block.key, times[block.key]) for block in blocks]
    rows = [{"block": key, "ms": timed.ms, "source": timed.source.value} for key, timed in own]
    if as_json:
        fields = {"predicted_ms": predicted_ms, "source": "predicted", "intercept_ms": found.intercept_ms}
        return emit(COMMAND, {**fields, **_table_fields(found), "of": spec.fields(), "rows": rows})
    if quiet:
        return print(f"{predicted_ms:.4f}")
    print(f"{network}: {predicted_ms:.3f} ms predicted on {found.tag.described}, {found.tag.runtime}\n")
    return table(
        ("block", "ms", "source"),
        (
            *((key, f"{timed.ms:.4f}", timed.source.value) for key, timed in own),
            ("every network", f"{found.intercept_ms:.4f}", ""),
        ),
    )


@latency.command()
def check(
    table_file: Table,
    models: Annotated[int, typer.Option(help="Held-out networks.")] = 32,
    pairs: Annotated[int, typer.Option(min=0, help="Pairs of them that are one choice apart.")] = 8,
    seed: Annotated[int, typer.Option(help="Of the networks drawn.")] = 0,
    html: Annotated[Path | None, typer.Option(help="Write a page that stands alone, with the plot.")] = None,
    budget: Budget = 0.25,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure random networks whole and hold the table's predictions to them."""
    wait_asleep()
    from edge.latency import check as checker
    from edge.latency.start import bench_for
    from edge.latency.table import LatencyTable
    from edge.whole import write_text

    found = LatencyTable.open(table_file)
    with log_folder() as logs, bench_for(found, _effort(budget), logs / "latency.log") as bench:
        checked = checker.check(bench, found, models=models, pairs=pairs, seed=seed, progress=_progress())
    if html is not None:
        from edge.latency.page import render

        write_text(html, render(checked))
    fields = checked.fields()
    if as_json:
        return emit(COMMAND, {**_table_fields(found), **fields, "html": None if html is None else str(html)})
    if quiet:
        return print(html) if html is not None else None
    return _print_check(fields)


@latency.command("import")
def import_results(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Of benchmark_model, ExecuTorch's Inspector, or AI Hub's perf.yaml.")
    ],
    device: Annotated[str, typer.Option(help="Where it was measured, for files that do not say.")] = "",
    table_file: Annotated[
        Path | None, typer.Option("--table", metavar="FILE", help="Keep the latencies beside those of this table.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read what others measured. It is never mixed with times that were measured here."""
    from edge.latency.imported import imported
    from edge.latency.table import LatencyTable

    found = imported(file, device)
    if table_file is not None:
        LatencyTable.open(table_file).put_imported(found.latencies)
    if as_json:
        return emit(COMMAND, {**found.fields(), "table": None if table_file is None else str(table_file)})
    if quiet:
        return print(table_file) if table_file is not None else None
    print(f"measured by others: {found.by}\n")
    if found.operators:
        rows = [(each.name, each.type, f"{each.ms:.4f}", each.delegate) for each in found.operators]
        return table(("operator", "type", "ms", "delegate"), rows)
    return table(
        ("device", "runtime", "network", "precision", "ms", "which", "unit"),
        [(r.device, r.runtime, r.model, r.precision, f"{r.ms:.4g}", r.statistic, r.unit) for r in found.latencies],
    )


def _measure(found: LatencyTable, blocks: Any, budget: float) -> None:
    from edge.latency import build as builder
    from edge.latency.start import bench_for

    with log_folder() as logs, bench_for(found, _effort(budget), logs / "latency.log") as bench:
        builder.build(bench, found, blocks, _progress())


def _effort(budget: float) -> Effort:
    from dataclasses import replace

    from edge.latency.bench import Effort

    effort = Effort()
    return replace(effort, plan=replace(effort.plan, budget_s=budget))


def _precision(kind: Any, text: str) -> Any:
    """The member that a user names. Raises `UnknownNameError`."""
    from edge.suggest import unknown

    if text not in list(kind):
        raise unknown("precision", text, list(kind))
    return kind(text)


def _progress() -> Progress:
    stages = Stages()
    return lambda stage: stages(COMMAND, stage)


def _table_fields(found: LatencyTable) -> dict[str, Any]:
    return {
        "table": str(found.path),
        "blocks": len(found.blocks()),
        "device": found.tag.described,
        "tag": found.tag.decides(),
    }


def _print_check(fields: dict[str, Any]) -> None:
    rows = [
        (f"{row['predicted_ms']:.4f}", f"{row['measured_ms']:.4f}", f"{row['error']:+.1%}")
        for row in sorted(fields["rows"], key=lambda row: float(row["measured_ms"]))
    ]
    table(("predicted ms", f"{fields['measured_as']} ms", "error"), rows)
    print(
        f"\n{fields['models']} networks that the table never saw, {fields['device']}, {fields['runtime']}: "
        f"{fields['within_10_percent']:.1%} within 10 %, median error {fields['median_error']:.1%}, "
        f"mean {fields['mape']:.1%}, worst {fields['worst_error']:.1%}, rank correlation {fields['spearman']:.3f}"
    )
    if fields["pairs"]:
        print(
            f"one choice changed: the sign is right for {fields['pairs_sign_right']} of {fields['pairs_clear']} pairs "
            f"that differ by more than the noise, of {fields['pairs']}"
        )
