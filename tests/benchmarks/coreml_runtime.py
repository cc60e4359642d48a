"""The Core ML reference runtime on every variant: load time, speed beside PyTorch, and errors in both precisions, as one table.

`python coreml_runtime.py [MODEL...]`. Speed is the ratio of the medians of interleaved runs on one thread, of the float32
package over the training form (what the papers publish) and over the deploy form (what was converted). The float16 error is
set beside that of the same network in PyTorch's own half precision, on the same pictures.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edge_command import EXPORTED, edge

from edge import probe
from edge.models.catalog import CATALOG
from edge.models.sources import resolve
from edge.plugins import exporter
from edge.reference import ModelRequest
from exporters.coreml.runtime import model as runtime

LARGEST = 40_000_000
ROUNDS, HALF_PICTURES = 15, 8
COLUMNS = (
    "model",
    "load ms",
    "/ training",
    "/ deploy",
    "fp32 error",
    "top-1",
    "fp16 error",
    "half's",
    "ratio",
    "top-1",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [row.name for row in CATALOG if row.params_deploy <= LARGEST and row.input_size == 224]
    parser.add_argument("models", nargs="*", default=every)
    torch.set_num_threads(1)
    print(f"{COLUMNS[0]:<22}" + "".join(f"{column:>12}" for column in COLUMNS[1:]))
    rows = [measure(name) for name in parser.parse_args().models]
    for column, title in ((1, "training"), (2, "deploy")):
        geomean = math.exp(statistics.fmean(math.log(row[column]) for row in rows))
        print(f"geometric mean of the time over the {title} form's: {geomean:.2f}")


def measure(name: str) -> tuple[float, ...]:
    with tempfile.TemporaryDirectory() as folder:
        single, half = (exported(name, precision, folder) for precision in ("fp32", "fp16"))
        load_ms = best_load_ms(Path(single["path"]))
        over_training, over_deploy = speed(name, Path(single["path"]))
        file_error, torch_error = half_errors(name, Path(half["path"]))
    row = (load_ms, over_training, over_deploy, single["relative_error"], single["top1_agreement"])
    row += (file_error, torch_error, file_error / torch_error, half["top1_agreement"])
    forms = (".1f", ".2f", ".2f", ".1e", ".0%", ".1e", ".1e", ".2f", ".0%")
    print(
        f"{name:<22}" + "".join(f"{format(value, form):>12}" for value, form in zip(row, forms, strict=True)),
        flush=True,
    )
    return row


def exported(name: str, precision: str, folder: str) -> dict[str, Any]:
    """The package of that precision, verified on 64 pictures by `edge export`."""
    words = ("--target", "coreml", "--precision", precision, "--out", folder)
    (artifact,) = edge("export", name, *words, codes=EXPORTED)["artifacts"]
    return artifact


def best_load_ms(path: Path) -> float:
    runtime.load(path)
    return min(time_ms(lambda: runtime.load(path)) for _ in range(5))


def speed(name: str, path: Path) -> tuple[float, float]:
    network = resolve(ModelRequest(name))
    deployed, loaded = network.deploy(), runtime.load(path)
    picture = torch.randn(network.inputs[0].shape, generator=torch.Generator().manual_seed(0))
    feature = loaded.description.input[0].name
    ways: tuple[Callable[[], Any], ...] = (
        lambda: loaded.predict({feature: picture.numpy()}),
        lambda: network.module(picture),
        lambda: deployed(picture),
    )
    with torch.no_grad():
        for way in ways:
            way()
        ours, training, deploy = zip(*([time_ms(way) for way in ways] for _ in range(ROUNDS)), strict=True)
    median = statistics.median(ours)
    return median / statistics.median(training), median / statistics.median(deploy)


def half_errors(name: str, path: Path) -> tuple[float, float]:
    """The largest errors over the outputs' spread, of the float16 package and of PyTorch's own half precision."""
    network = resolve(ModelRequest(name))
    assert network.preprocess is not None
    rows = np.linspace(0, probe.INPUTS - 1, HALF_PICTURES).astype(int)
    pictures = network.preprocess.normalise(probe.pictures(network.preprocess)[rows])
    run = exporter("coreml").load(path)
    with torch.no_grad():
        wanted = np.concatenate([network.module(torch.from_numpy(each[None])).numpy() for each in pictures])
        narrow = network.module.half()
        theirs = np.concatenate([narrow(torch.from_numpy(each[None]).half()).float().numpy() for each in pictures])
    ours = np.concatenate([run([each[None]])[0] for each in pictures])
    return tuple(float(np.abs(found - wanted).max() / wanted.std()) for found in (ours, theirs))


def time_ms(way: Callable[[], Any]) -> float:
    started = time.perf_counter()
    way()
    return (time.perf_counter() - started) * 1e3


if __name__ == "__main__":
    main()
