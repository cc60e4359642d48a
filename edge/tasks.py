"""The work that runs in worker processes: plain data in, plain data out, files by path."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge import plugins
from edge.bisect.culprit import Culprit
from edge.card import Card
from edge.errors import VerificationError
from edge.exporter import Exporter, Runner
from edge.parts import Parts
from edge.spec import Precision, Recipe
from edge.tolerances import TOLERANCES

FEWEST_RUNS = 5
"""In a pass over a file; a median of fewer is one run's luck."""


def convert(program: str, recipe: Mapping[str, Any], card: str, path: str) -> None:
    """Lower the program saved at `program` to `path`."""
    import torch

    from edge.passes.capture import rewrite

    wanted = Recipe.from_fields(recipe)
    exporter = plugins.exporter(wanted.exporter)
    rewritten = rewrite(torch.export.load(program), exporter.passes())
    exporter.lower(rewritten, wanted, Card.from_json(card), Path(path))


def convert_many(items: list[dict[str, Any]]) -> None:
    """Lower one program after another: the arguments of `convert`, many times for one start of the converter."""
    for item in items:
        convert(**item)


def describe(path: str) -> dict[str, Any]:
    """The card, the recipe, the contents and the hints of a file."""
    exporter = plugins.exporter_for(Path(path))
    contents = exporter.contents(Path(path))
    delegates = {"partitions": contents.partitions, "inside": contents.inside, "outside": contents.outside}
    return {
        "card": exporter.card(Path(path)).to_json(),
        "recipe": asdict(exporter.recipe(Path(path))),
        "contents": {"operators": dict(contents.operators), **delegates},
        "lint": [hint.fields() for hint in exporter.lint(Path(path))],
    }


def execute(path: str, inputs: str, outputs: str) -> None:
    """Run the file once per row of the arrays in `inputs` (npz, in the card's order) and save the stacked outputs."""
    _execute(plugins.exporter_for(Path(path)), Path(path), list(np.load(inputs).values()), outputs)


def answer(path: str, probe: str, outputs: str) -> str:
    """Run the file on probe inputs (npz: `pictures`, or one array per input), prepared by the card inside it.

    Saves the stacked outputs and returns the card.
    """
    exporter = plugins.exporter_for(Path(path))
    card = exporter.card(Path(path))
    _execute(exporter, Path(path), _inputs(card, probe), outputs)
    return card.to_json()


def _inputs(card: Card, probe: str) -> list[NDArray[Any]]:
    """Probe inputs as a file with this card takes them, one array (N, ...) for each of its inputs."""
    with np.load(probe) as arrays:
        given = [card.file_input(arrays["pictures"])] if "pictures" in arrays else list(arrays.values())
    return [column.astype(spec.dtype) for column, spec in zip(given, card.inputs, strict=True)]


def _execute(exporter: Exporter, path: Path, columns: list[NDArray[Any]], outputs: str) -> None:
    runner = exporter.load(path)
    rows = [runner([column[row : row + 1] for column in columns]) for row in range(len(columns[0]))]
    np.savez(outputs, *(np.concatenate(column) for column in zip(*rows, strict=True)))


def measure(path: str, warmup: int, runs: int, threads: int) -> dict[str, Any]:
    """Time the file on zeros, one run at a time: latencies and start-up in ms, peak memory of this process in kB.

    The process stays on as many cores as it may have threads.
    """
    _pin(threads)
    started = time.perf_counter()
    exporter = plugins.exporter_for(Path(path))
    runner = exporter.load(Path(path), threads)
    inputs = _zeros(exporter, Path(path))
    init_ms = (time.perf_counter() - started) * 1e3
    for _ in range(warmup):
        runner(inputs)
    samples_ms = [_time_ms(runner, inputs) for _ in range(runs)]
    peak_rss_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    precision = _precision(Path(path))
    return {"samples_ms": samples_ms, "init_ms": init_ms, "peak_rss_kb": peak_rss_kb, "precision": precision}


def measure_in_turns(
    paths: list[str], warmup: int, runs: int, passes: int, threads: int, pass_s: float
) -> dict[str, Any]:
    """Load all files, then time them in turns on zeros, `passes` times over: for each file its passes and start-up in ms.

    A pass over one file is `warmup` and then `runs` runs, fewer when they take longer than `pass_s` seconds.
    """
    _pin(threads)
    loaded = [_loaded(Path(path), threads) for path in paths]
    files: list[dict[str, Any]] = [
        {"init_ms": init_ms, "precision": _precision(Path(path)), "passes": []}
        for path, (_, _, init_ms) in zip(paths, loaded, strict=True)
    ]
    for _ in range(passes):
        for (runner, inputs, _), file in zip(loaded, files, strict=True):
            for _ in range(warmup):
                runner(inputs)
            file["passes"].append(_times_ms(runner, inputs, runs, pass_s))
    return {"files": files, "peak_rss_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def _precision(path: Path) -> str:
    return plugins.exporter_for(path).card(path).precision.value


def _loaded(path: Path, threads: int) -> tuple[Runner, list[NDArray[Any]], float]:
    """The file as a callable, zeros for it, and how many ms that took."""
    started = time.perf_counter()
    exporter = plugins.exporter_for(path)
    runner, inputs = exporter.load(path, threads), _zeros(exporter, path)
    return runner, inputs, (time.perf_counter() - started) * 1e3


def _times_ms(runner: Runner, inputs: list[NDArray[Any]], runs: int, limit_s: float) -> list[float]:
    """`runs` latencies in ms; at least `FEWEST_RUNS`, then fewer when `limit_s` is over."""
    samples_ms: list[float] = []
    while len(samples_ms) < runs and (len(samples_ms) < FEWEST_RUNS or sum(samples_ms) < limit_s * 1e3):
        samples_ms.append(_time_ms(runner, inputs))
    return samples_ms


def measure_operators(path: str, warmup: int, runs: int, threads: int) -> list[dict[str, Any]]:
    """The time of each operator of the file on zeros."""
    _pin(threads)
    exporter = plugins.exporter_for(Path(path))
    inputs = _zeros(exporter, Path(path))
    times = exporter.time_operators(Path(path), inputs, warmup=warmup, runs=runs, threads=threads)
    return [each.fields() for each in times]


def _zeros(exporter: Exporter, path: Path) -> list[NDArray[Any]]:
    return [np.zeros(spec.shape, spec.dtype) for spec in exporter.card(path).inputs]


def _pin(threads: int) -> None:
    """Keep this process on its last cores: the first ones get most of a machine's interrupts."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


def _time_ms(runner: Runner, inputs: list[NDArray[Any]]) -> float:
    started = time.perf_counter()
    runner(inputs)
    return (time.perf_counter() - started) * 1e3


def numerics(path: str) -> dict[str, Any]:
    """What float16 costs each operator of a file, over a few of the probe's inputs."""
    from edge import probe

    exporter = plugins.exporter_for(Path(path))
    card = exporter.card(Path(path))
    if card.preprocess is None:
        columns = probe.tensors(card.inputs)
    else:
        columns = [card.file_input(probe.pictures(card.preprocess)).astype(card.inputs[0].dtype)]
    rows = [tuple(column[row : row + 1] for column in columns) for row in probe.FEW]
    found = exporter.numerics(Path(path), rows)
    return {"inputs": len(rows), "operators": [asdict(each) for each in found]}


def bisect_against_file(path: str, sound: str, probe: str, bound: float) -> dict[str, Any]:
    """The first operator of the file at `path` that does not compute what it does in `sound`, on probe inputs.

    `comparable` is false when the operators of the two have other names.
    """
    from edge.bisect import against_file

    suspect, other = (_parts(Path(file)) for file in (path, sound))
    if not against_file.alike(suspect, other):
        return {"comparable": False}
    bad = against_file.first_bad(suspect, other, _rows(Path(path), probe), bound)
    return _found(bad, suspect)


def bisect_against_program(path: str, program: str, answers: str, probe: str, bound: float) -> dict[str, Any]:
    """The first operator of the file whose value the program saved at `program` does not bear out, on probe inputs.

    `answers` are what the PyTorch model gives: the program after the exporter's passes is believed if it gives the same,
    else the program before them. Raises `VerificationError` when neither does.
    """
    import torch

    from edge.bisect import against_program
    from edge.passes.capture import rewrite
    from edge.verify import compare

    exporter = plugins.exporter_for(Path(path))
    suspect, rows = _parts(Path(path)), _rows(Path(path), probe)
    captured = torch.export.load(program)
    with np.load(answers) as arrays:
        wanted = list(arrays.values())
    for candidate in (rewrite(captured, exporter.passes()), captured):
        values = against_program.ProgramValues(candidate, rows)
        if compare(wanted, values.outputs).relative_error <= TOLERANCES[Precision.FP32].relative_error:
            return _found(against_program.first_bad(suspect, values, rows, bound), suspect)
    raise VerificationError(
        f"{Path(path).name} is not at fault: the program that it was made of is not the PyTorch model",
        hint="compare the network's deploy form with its training form",
    )


def _parts(path: Path) -> Parts:
    return plugins.exporter_for(path).take_apart(path)


def _rows(path: Path, probe: str) -> list[tuple[NDArray[Any], ...]]:
    columns = _inputs(plugins.exporter_for(path).card(path), probe)
    return [tuple(column[row : row + 1] for column in columns) for row in range(len(columns[0]))]


def _found(bad: Culprit | None, suspect: Parts) -> dict[str, Any]:
    found = None if bad is None else asdict(bad)
    return {"comparable": True, "first": found, "operators": len(suspect.operators)}
