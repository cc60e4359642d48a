"""The work that runs in worker processes: plain data in, plain data out, files by path."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge import plugins
from edge.card import Card
from edge.exporter import Exporter, Runner
from edge.spec import InputKind, Precision, Recipe


def convert(program: str, recipe: Mapping[str, Any], card: str, path: str) -> None:
    """Lower the program saved at `program` to `path`."""
    import torch

    from edge.passes.capture import rewrite

    wanted = Recipe(
        exporter=recipe["exporter"],
        precision=Precision(recipe["precision"]),
        input_kind=InputKind(recipe["input_kind"]),
        coreml_target=recipe["coreml_target"],
    )
    exporter = plugins.exporter(wanted.exporter)
    rewritten = rewrite(torch.export.load(program), exporter.passes())
    exporter.lower(rewritten, wanted, Card.from_json(card), Path(path))


def describe(path: str) -> dict[str, Any]:
    """The card and the contents of a file."""
    exporter = plugins.exporter_for(Path(path))
    contents = exporter.contents(Path(path))
    delegates = {"partitions": contents.partitions, "inside": contents.inside, "outside": contents.outside}
    return {
        "card": exporter.card(Path(path)).to_json(),
        "contents": {"operators": dict(contents.operators), **delegates},
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
    with np.load(probe) as arrays:
        given = [card.file_input(arrays["pictures"])] if "pictures" in arrays else list(arrays.values())
    inputs = [column.astype(spec.dtype) for column, spec in zip(given, card.inputs, strict=True)]
    _execute(exporter, Path(path), inputs, outputs)
    return card.to_json()


def _execute(exporter: Exporter, path: Path, columns: list[NDArray[Any]], outputs: str) -> None:
    runner = exporter.load(path)
    rows = [runner([column[row : row + 1] for column in columns]) for row in range(len(columns[0]))]
    np.savez(outputs, *(np.concatenate(column) for column in zip(*rows, strict=True)))


def measure(path: str, warmup: int, runs: int) -> dict[str, Any]:
    """Time the file on zeros, one run at a time: latencies and start-up in ms, peak memory of this process in kB."""
    started = time.perf_counter()
    exporter = plugins.exporter_for(Path(path))
    runner = exporter.load(Path(path))
    inputs = [np.zeros(spec.shape, spec.dtype) for spec in exporter.card(Path(path)).inputs]
    init_ms = (time.perf_counter() - started) * 1e3
    for _ in range(warmup):
        runner(inputs)
    samples_ms = [_time_ms(runner, inputs) for _ in range(runs)]
    peak_rss_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"samples_ms": samples_ms, "init_ms": init_ms, "peak_rss_kb": peak_rss_kb}


def _time_ms(runner: Runner, inputs: list[NDArray[Any]]) -> float:
    started = time.perf_counter()
    runner(inputs)
    return (time.perf_counter() - started) * 1e3
