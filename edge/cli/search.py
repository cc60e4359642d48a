"""`edge search`: compact networks for a latency budget on a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.cli.output import Json, Quiet, emit, say, table
from edge.cli.threads import wait_asleep
from edge.errors import UsageError
from edge.logs import log_folder
from edge.search.effort import EffortName
from edge.spec import Precision

if TYPE_CHECKING:
    from edge.search.story import Story

OUT = "give the folder of the search with --out RUN"


def search(
    space: Annotated[
        str | None, typer.Argument(metavar="SPACE", help="efficientformer, efficientvit, vanillanet, …")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="digits (scikit-learn's scans), or a folder with one sub-folder per class.")
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(metavar="4.0ms[,…]", help="Budgets, in ms or as a share (50%) of the largest uniform network's."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder of the search; its networks are MODELs.")] = None,
    device: Annotated[str, typer.Option(help="host, another of `edge devices`, or table:FILE.")] = "host",
    target: Annotated[str, typer.Option(help="tflite, executorch, onnx, …: the file whose latency counts.")] = "tflite",
    params: Annotated[int | None, typer.Option(min=1, help="Most parameters of a deployed network.")] = None,
    macs: Annotated[int | None, typer.Option(min=1, help="Most MACs of a deployed network.")] = None,
    effort: Annotated[
        EffortName, typer.Option(help="How much is trained and tried: minutes, an hour, days.")
    ] = EffortName.SMALL,
    strategy: Annotated[str, typer.Option(help="slimming, evolution, random or uniform.")] = "slimming",
    finetune: Annotated[
        bool,
        typer.Option(
            "--finetune/--from-scratch", help="Train the found networks from the supernet's weights, or from none."
        ),
    ] = True,
    image_size: Annotated[str, typer.Option(metavar="N|HxW", help="Input size in pixels.")] = "64",
    precision: Annotated[Precision, typer.Option(help="fp32 or fp16.")] = Precision.FP32,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the runtime on the device.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn.")] = 0,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL", envvar="EDGE_STORAGE", help="postgresql://… for workers on many machines; default: in RUN."
        ),
    ] = None,
    join: Annotated[
        bool, typer.Option("--join", help="Help the search in RUN: try networks for it until it ends.")
    ] = False,
    explain: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Tell what a search did, and why, as text; does nothing else.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode pictures.")] = 2,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search networks that keep within latency budgets, train them, and measure them. The same command goes on after a kill."""
    if explain is not None:
        return _explain(explain, as_json=as_json)
    if out is None:
        raise UsageError("a search needs a folder", hint=OUT)
    wait_asleep()
    if join:
        return _join(out, storage, data, workers, as_json=as_json, quiet=quiet)
    missing = [name for name, given in (("SPACE", space), ("--data", data), ("--latency", latency)) if given is None]
    if space is None or data is None or latency is None:
        raise UsageError(f"{', '.join(missing)} missing", hint="see edge search --help")
    from edge.cli.model_options import image_size as size_of
    from edge.search.order import Finish, SearchOrder
    from edge.search.place import Place
    from edge.search.run import search as run
    from edge.search.watch import watcher

    order = SearchOrder(
        space=space,
        data=data,
        latency=latency,
        device=device,
        target=target,
        image_size=size_of(image_size) or (64, 64),
        precision=precision,
        threads=threads,
        params=params,
        macs=macs,
        effort=effort,
        strategy=strategy,
        finish=Finish.FINETUNE if finetune else Finish.SCRATCH,
        seed=seed,
    )
    with log_folder() as logs, watcher() as watched:
        story = run(order, Place(out, storage, logs, workers), watched, say)
    if story is not None:  # else another process of the same training speaks
        _print(out, story, as_json=as_json, quiet=quiet)
    return None


def _join(out: Path, storage: str | None, data: str | None, workers: int, *, as_json: bool, quiet: bool) -> None:
    from edge.search.place import Place
    from edge.search.run import join as run

    with log_folder() as logs:
        judged = run(Place(out, storage, logs, workers), data, say)
    if as_json:
        return emit("search", {"run": str(out), "judged": judged})
    return None if quiet else print(f"the search in {out} has ended; {judged} networks were tried here")


def _explain(run: Path, *, as_json: bool) -> None:
    from edge.search.explain import explain
    from edge.search.story import read

    story = read(run)
    if as_json:
        return emit("search", {"run": str(run), **document(story)})
    return print(explain(story))


def _print(out: Path, story: Story, *, as_json: bool, quiet: bool) -> None:
    best = [each for each in story.finished if each.role == "best"]
    if as_json:
        return emit("search", {"run": str(out), **document(story)})
    if quiet:
        return print("\n".join(str(out / each.name) for each in best))
    table(
        ("network", "budget", "measured ms", "predicted ms", "accuracy", "parameters"),
        (
            (
                each.name,
                f"{each.budget_ms:.3f}",
                f"{each.measured_ms:.3f}",
                f"{each.predicted_ms:.3f}",
                f"{each.accuracy:.2%}",
                f"{each.params:,}",
            )
            for each in story.finished
        ),
    )
    print(f"\n{out / 'search.html'} shows how; edge search --explain {out} tells it")
    return print(f"next: edge export {out / best[0].name} --target all" if best else "")


def document(story: Story) -> dict[str, Any]:
    """The JSON fields of the command-line contract."""
    sides = {"best": "best", "baselines": "uniform"}
    finished = {name: [each.fields() for each in story.finished if each.role == role] for name, role in sides.items()}
    tag = story.tag
    setup = {"space": tag.setup.space, "target": tag.setup.target, "device": tag.described, "runtime": tag.runtime}
    return {
        **finished,
        **setup,
        "strategy": story.strategy,
        "trials": len(story.trials),
        "evaluations_per_minute": story.evaluations_per_minute,
        "seconds": dict(story.seconds),
    }
