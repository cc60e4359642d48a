"""The main job on real input: train on handwritten digits, export everywhere, verify, measure, and report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from edge import pipeline, plugins, runfolder, whole
from edge.artifact import Artifact
from edge.classify import classify
from edge.errors import EdgeError, NotExecutableHereError, ToolchainMissingError
from edge.pipeline import ExportOrder, ExportReport
from edge.reference import ModelRequest
from edge.report.facts import Missing, Report
from edge.report.find import Found
from edge.report.gather import AT_ONCE, Bench, gather
from edge.report.page import render
from edge.spec import Recipe
from edge.training.data import DIGITS, held_out
from edge.training.order import TrainingOrder
from edge.training.recipe import TrainingRecipe, default_warmup_epochs
from edge.training.run import train
from edge.training.watch import Watcher

MODEL = "efficientformer_mini"
THREADS = 1
"""For training: so small a network gains little from a second thread, and loses tenfold when somebody else has the core."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a file said of the picture that `edge run` showed it."""

    target: str
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo made: the run, the files, the page, and the picture that went through every file, with its class."""

    run: Path
    files: ExportReport
    page: Path
    report: Report
    picture: Path
    truth: str
    seen: tuple[Seen, ...]

    @property
    def sound(self) -> bool:
        """Whether every executed file is the PyTorch model: verified, as accurate, and of one mind about the picture."""
        alike = len({each.label for each in self.seen}) <= 1
        return self.report.model.accuracy is not None and self.report.faithful and alike

    @property
    def broken(self) -> Mapping[str, EdgeError]:
        """Targets that failed although their toolchain is here."""
        return {
            name: error for name, error in self.files.failures.items() if not isinstance(error, ToolchainMissingError)
        }


def demo(out: Path, epochs: int | None, watcher: Watcher, bench: Bench) -> Demo:
    """Do the whole job below `out`, or what is left of it: a finished training is kept, files come from the cache.

    Raises `UsageError` when `out` holds another training, and `EdgeError` when no target could be exported.
    """
    run = _trained(out / MODEL, epochs, watcher, bench)
    recipes = tuple(Recipe(name) for name in plugins.names("exporters"))
    order = ExportOrder(
        ModelRequest(str(run)), recipes, out, bench.logs, keep_going=True, force=True, timeout_s=bench.timeout_s
    )
    files = pipeline.export(order, bench.progress)
    missing = tuple(Missing.because(target, error) for target, error in files.failures.items())
    report = gather(Found((files.folder,), run), missing, bench)
    page = out / "report.html"
    whole.write_text(page, render(report))
    picture, truth = _one_picture(run, out / "digit.png")
    return Demo(run, files, page, report, picture, truth, _seen(files, picture, bench))


def _trained(run: Path, epochs: int | None, watcher: Watcher, bench: Bench) -> Path:
    count = epochs or TrainingRecipe().epochs
    recipe = TrainingRecipe(epochs=count, warmup_epochs=default_warmup_epochs(count))
    with watcher, _threads(THREADS):
        done = train(
            TrainingOrder(ModelRequest(MODEL), DIGITS, run, recipe), watcher, lambda text: bench.progress(MODEL, text)
        )
    bench.progress(MODEL, f"trained {done.trained} of {count} epochs now: {done.history[-1].words} held out")
    return run


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _one_picture(run: Path, path: Path) -> tuple[Path, str]:
    """The first held-out picture as a PNG file, and its class."""
    card = runfolder.read(run)
    found = held_out(card.data, card.preprocess(), card.seed)
    with whole.appearing(path) as staged:
        Image.fromarray(found.pictures[0]).save(staged)
    return path, found.classes[int(found.labels[0])]


def _seen(files: ExportReport, picture: Path, bench: Bench) -> tuple[Seen, ...]:
    """What each file that can be executed here says of `picture`, through the same path as `edge run`."""

    def ask(artifact: Artifact) -> Seen | None:
        try:
            (result,) = classify(artifact.path, [picture], top_k=1, timeout_s=bench.timeout_s)
        except NotExecutableHereError:
            return None
        return Seen(artifact.target, result["top"][0]["label"], result["top"][0]["score"])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return tuple(seen for seen in pool.map(ask, files.artifacts) if seen is not None)
