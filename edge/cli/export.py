"""`edge export`: files for targets, each verified against the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.cli import model_options as options
from edge.cli.output import Json, Quiet, Stages, emit, say, table
from edge.cli.threads import wait_asleep
from edge.errors import EdgeError, UsageError
from edge.logs import log_folder
from edge.spec import InputKind, Precision, Recipe

if TYPE_CHECKING:
    from edge.pipeline import ExportOrder, ExportReport

COREML_TARGETS = ("iOS15", "iOS16", "iOS17", "iOS18")


def export(
    model: options.Reference,
    target: Annotated[
        list[str], typer.Option(help="coreml, tflite, executorch, onnx, or all; repeat, or separate by commas.")
    ] = ["all"],  # noqa: B006 - typer copies it
    out: Annotated[Path, typer.Option(help="Folder in which MODEL-PRECISION-HxW/ is made.")] = Path(),
    precision: Annotated[Precision, typer.Option(help="Number format inside the files.")] = Precision.FP32,
    weights: options.Weights = None,
    pretrained: options.Pretrained = False,
    num_classes: options.NumClasses = None,
    image_size: options.ImageSize = None,
    labels: options.Labels = None,
    mean: options.Mean = None,
    std: options.Std = None,
    seed: options.Seed = 0,
    experts_of: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep only the experts that these pictures visit (M3ViT).")
    ] = None,
    input_kind: Annotated[
        InputKind, typer.Option("--input", help="A normalised float tensor, or the picture's bytes.")
    ] = InputKind.FLOAT,
    coreml_target: Annotated[str, typer.Option(help="Oldest system for Core ML: iOS15 to iOS18.")] = "iOS17",
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Do not execute the files.")] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Go on with the other targets when one fails.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds one conversion may take.")] = 1800,
    plan: Annotated[bool, typer.Option("--plan", help="Print the steps and do nothing.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Export MODEL to mobile formats and prove every file equal to the PyTorch model."""
    wait_asleep()
    from edge import pipeline

    if coreml_target not in COREML_TARGETS:
        raise UsageError(f"no Core ML target {coreml_target!r}", hint=f"there are {', '.join(COREML_TARGETS)}")
    request = options.request(model, weights, pretrained, num_classes, image_size, labels, mean, std, seed)
    request = replace(request, experts_of=experts_of)
    recipes = tuple(Recipe(name, precision, input_kind, coreml_target) for name in targets(target))
    with log_folder() as logs:
        order = pipeline.ExportOrder(
            request, recipes, out, logs, verify=not no_verify, keep_going=keep_going, force=force, timeout_s=timeout
        )
        if plan:
            return _print_plan(order, as_json=as_json)
        report = pipeline.export(order, Stages())
        _print_report(report, as_json=as_json, quiet=quiet)
        if report.failures:
            raise typer.Exit(next(iter(report.failures.values())).code)
    if any(artifact.verdict["verdict"] == "failed" for artifact in report.artifacts):
        raise typer.Exit(3)
    return None


def targets(texts: list[str]) -> list[str]:
    """The exporters named by `--target` options: comma lists and `all`, each once, in the order given."""
    from edge import plugins
    from edge.suggest import unknown

    known = plugins.names("exporters")
    named = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    wanted = [each for name in named for each in (known if name == "all" else (name,))]
    if strange := [name for name in wanted if name not in known]:
        raise unknown("target", strange[0], (*known, "all"))
    if not wanted:
        raise UsageError("no target given", hint=f"there are {', '.join(known)}, and all")
    return list(dict.fromkeys(wanted))


def _print_plan(order: ExportOrder, *, as_json: bool) -> None:
    from edge import plugins

    steps = [f"build {order.request.reference}", "capture its deploy form with torch.export"]
    for recipe in order.recipes:
        exporter = plugins.exporter(recipe.exporter)
        passes = ", ".join(rewrite.__name__ for rewrite in exporter.passes())
        steps.append(f"{recipe.exporter}: rewrite ({passes})")
        steps.append(f"{recipe.exporter}: lower to {exporter.suffix}, {recipe.precision}, input {recipe.input_kind}")
        steps.append(
            f"{recipe.exporter}: execute and compare with PyTorch"
            if order.verify
            else f"{recipe.exporter}: not verified"
        )
    steps.append(f"write the files, labels.txt and edge.json below {order.out}")
    if as_json:
        return emit("export", {"plan": steps})
    return print("\n".join(f"{number:3d}  {step}" for number, step in enumerate(steps, 1)))


def _print_report(report: ExportReport, *, as_json: bool, quiet: bool) -> None:
    failures = [{"target": target, **_failure(error)} for target, error in report.failures.items()]
    if as_json:
        artifacts = [{**artifact.fields(report.folder), "path": str(artifact.path)} for artifact in report.artifacts]
        return emit("export", {"folder": str(report.folder), "artifacts": artifacts, "failures": failures})
    if quiet:
        return print("\n".join(str(artifact.path) for artifact in report.artifacts))
    table(
        ("target", "file", "MB", "error", "verdict", "seconds"),
        (
            (
                artifact.target,
                artifact.path.name,
                f"{artifact.bytes / 1e6:.2f}",
                "–" if artifact.verdict["relative_error"] is None else f"{artifact.verdict['relative_error']:.1e}",
                str(artifact.verdict["verdict"]),
                "cached" if artifact.cached else f"{artifact.seconds:.1f}",
            )
            for artifact in report.artifacts
        ),
    )
    for artifact in report.artifacts:
        if artifact.verdict["verdict"] != "ok":
            say(f"{artifact.target}: {artifact.verdict['verdict']}: {artifact.verdict['reason']}")
        if artifact.verdict["verdict"] == "failed":
            say(f"  edge verify {artifact.path} --bisect names the operator at fault")
    for target, error in report.failures.items():
        say(f"{target}: {error}\n  {error.hint}")
    if report.artifacts:
        last = report.artifacts[0].path
        print(f"\nnext:\n  edge verify {report.folder}\n  edge inspect {last}\n  edge run {last} PICTURE")
    return None


def _failure(error: EdgeError) -> dict[str, str | int]:
    return {"code": error.code, "error": str(error), "hint": error.hint}
