"""`edge train`: a network learns classes or maps of pictures, repeatably, and may be killed and taken up again."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.cli import model_options as options
from edge.cli.output import Json, Quiet, emit, say
from edge.cli.threads import wait_asleep
from edge.errors import UsageError
from edge.training.recipe import RECIPES, Distillation, default_warmup_epochs

if TYPE_CHECKING:
    from edge.training.run import TrainingReport


def train(
    model: options.Reference,
    data: Annotated[
        str,
        typer.Option(
            help="digits (scikit-learn's scans), scenes (drawn here, with a map per task), a folder with one sub-folder per class, "
            "or one of NYUD-v2 or PASCAL-Context."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The run folder to make, which is a MODEL afterwards.")],
    epochs: Annotated[int, typer.Option(min=1, help="How often every picture is seen.")] = 15,
    batch_size: Annotated[
        int | None, typer.Option(min=2, help="Pictures per step, all processes together; 64, for maps 8.")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate; 2e-3, for maps 1e-3.")] = None,
    weight_decay: Annotated[float, typer.Option(min=0, help="AdamW's, on matrices and kernels.")] = 0.05,
    warmup_epochs: Annotated[
        float | None, typer.Option(min=0, help="Epochs of rising rate; a tenth, at most 5.")
    ] = None,
    label_smoothing: Annotated[
        float | None, typer.Option(min=0, max=0.99, help="Of the cross-entropy with classes; 0.1.")
    ] = None,
    mixup: Annotated[float, typer.Option(min=0, help="Alpha of mixup; 0 for none.")] = 0.0,
    cutmix: Annotated[float, typer.Option(min=0, help="Alpha of cutmix; 0 for none.")] = 0.0,
    ema: Annotated[float, typer.Option(min=0, max=0.999999, help="Decay of the averaged weights; 0 for none.")] = 0.99,
    teacher: Annotated[str | None, typer.Option(metavar="MODEL", help="A trained network to learn from.")] = None,
    teacher_weights: Annotated[Path | None, typer.Option(help="The teacher's weights.")] = None,
    distillation: Annotated[
        Distillation, typer.Option(help="The teacher's class, or its probabilities.")
    ] = Distillation.HARD,
    leak_epochs: Annotated[int | None, typer.Option(min=0, help="VanillaNet: epochs until λ = 1; a third.")] = None,
    scenes: Annotated[int | None, typer.Option(min=2, help="Scenes to draw for training; 1000.")] = None,
    weights: options.Weights = None,
    pretrained: options.Pretrained = False,
    image_size: options.ImageSize = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order, changes, and of the pictures held out.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode pictures.")] = 2,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train MODEL, or fine-tune it, on pictures; the same command goes on after an interruption."""
    wait_asleep()
    from edge.dense.subject import answers
    from edge.reference import ModelRequest
    from edge.training.order import TrainingOrder
    from edge.training.run import train as run
    from edge.training.watch import watcher

    if teacher is None and teacher_weights is not None:
        raise UsageError("--teacher-weights without --teacher", hint="give the teacher's network with --teacher MODEL")
    chosen = {"batch_size": batch_size, "lr": lr, "label_smoothing": label_smoothing}
    recipe = replace(
        RECIPES[answers(data)],
        epochs=epochs,
        weight_decay=weight_decay,
        warmup_epochs=default_warmup_epochs(epochs) if warmup_epochs is None else warmup_epochs,
        mixup=mixup,
        cutmix=cutmix,
        ema=ema,
        distillation=distillation,
        **{name: value for name, value in chosen.items() if value is not None},  # type: ignore[arg-type]
    )
    request = options.request(model, weights, pretrained, None, image_size, None, None, None, seed)
    taught_by = None if teacher is None else ModelRequest(teacher, teacher_weights)
    with watcher() as watched:
        report = run(TrainingOrder(request, data, out, recipe, leak_epochs, taught_by, workers, scenes), watched, say)
    if report.leads:
        _print(report, as_json=as_json, quiet=quiet)


def _print(report: TrainingReport, *, as_json: bool, quiet: bool) -> None:
    from edge.dense.routing import PAGE, WORKLOAD

    last = report.history[-1]
    if as_json:
        return emit("train", _document(report))
    if quiet:
        return print(report.run)
    what = "trained" if report.trained else "was finished before"
    print(f"{report.run} {what}: {last.epoch} epochs, loss {last.train_loss:.4f}, {last.words}")
    print(f"next: edge export {report.run} --target all")
    if (workload := report.run / WORKLOAD).is_file():
        print(f"      edge simulate {workload}")
        print(f"      {report.run / PAGE} shows who uses which expert")
    return None


def _document(report: TrainingReport) -> dict[str, object]:
    last = report.history[-1]
    return {
        "run": str(report.run),
        "epochs": last.epoch,
        "epochs_trained": report.trained,
        "train_loss": last.train_loss,
        "accuracy": last.accuracy,
        "metrics": {task: asdict(metric) for task, metric in last.metrics.items()},
        "seconds": round(sum(epoch.seconds for epoch in report.history), 3),
    }
