"""Does the supernet know which network is better? Its judgement of random networks beside what each learns on its own.

`python tests/benchmarks/rank_correlation.py RUN`: networks are drawn from the space of the finished search in RUN and judged with
the weights of its supernet on the validation pictures; then each is trained from scratch, two at a time on one thread each, and
tested on the pictures held out. Trainings are kept below --out, so that the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import torch
from edge_command import edge
from scipy.stats import kendalltau, spearmanr

from edge import plugins
from edge.models.point import reference, stem
from edge.models.sources import resolve
from edge.preprocess import Preprocess
from edge.reference import ModelRequest
from edge.search.evaluation import batches, evaluated
from edge.search.lesson import judge, lesson
from edge.search.order import SearchOrder
from edge.search.pictures import SearchPictures, search_pictures
from edge.search.place import SUPERNET, Place
from edge.search.sizes import sizes
from edge.search.supernet_training import load
from edge.search.trial import Evaluation
from edge.space import SearchSpace
from edge.spec import ModelSpec
from edge.training.data import Dataset, decode, find

Judgements = dict[ModelSpec, Evaluation]

AT_ONCE = 2
FEWEST = 12
"""Networks below which a correlation says too little."""


@dataclass(frozen=True, slots=True)
class Row:
    """A network, the supernet's judgement on the validation pictures, and what it knows of those held out after it learned
    alone."""

    spec: ModelSpec
    params: int
    judged: Evaluation
    alone: Evaluation


def drawn(space: SearchSpace, count: int, seed: int) -> list[ModelSpec]:
    """Different networks at random."""
    random = Random(seed)
    found: dict[ModelSpec, None] = {}
    while len(found) < count:
        found[space.draw(random)] = None
    return list(found)


def judged(
    run: Path, space: SearchSpace, order: SearchOrder, pictures: SearchPictures, specs: Sequence[ModelSpec]
) -> Judgements:
    """What the supernet in `run` says of networks, told as the search told it."""
    asked = judge(load(space, run / SUPERNET), lesson(order, pictures), order.work.calibration)
    return {spec: asked(spec) for spec in specs}


def held_out(order: SearchOrder, preprocess: Preprocess) -> Dataset:
    """The pictures that the search never saw."""
    source = find(order.data, order.seed)
    return decode(source.held_out, source.classes, preprocess)


def trained(spec: ModelSpec, order: SearchOrder, epochs: int, out: Path) -> Path:
    """The run folder of a network that is trained from scratch."""
    name = reference(spec)
    run = out / stem(name)
    words = ("--data", order.data, "--out", str(run), "--epochs", str(epochs))
    size = ("--image-size", "x".join(map(str, order.image_size)), "--seed", str(order.seed), "--workers", "1")
    edge("train", name, *words, *size, threads=1)
    return run


def examined(run: Path, unseen: Dataset, preprocess: Preprocess) -> Evaluation:
    """How the trained network in `run` answers pictures that neither it nor the search has seen."""
    pictures = batches(torch.from_numpy(preprocess.normalise(unseen.pictures)))
    return evaluated(resolve(ModelRequest(str(run))).module.eval(), pictures, torch.from_numpy(unseen.labels))


def correlations(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Of what each network learns on its own with what might foretell it, by rank."""
    truths = {
        "accuracy alone": [row.alone.accuracy for row in rows],
        "confidence alone": [row.alone.confidence for row in rows],
    }
    signs = {
        "supernet accuracy": [row.judged.accuracy for row in rows],
        "supernet confidence": [row.judged.confidence for row in rows],
        "parameters": [float(row.params) for row in rows],
    }
    return {
        f"{name} with {truth}": {
            "spearman": float(spearmanr(values, known).statistic),
            "kendall": float(kendalltau(values, known).statistic),
        }
        for truth, known in truths.items()
        for name, values in signs.items()
    }


def report(rows: Sequence[Row]) -> None:
    print(f"{'':24}{'':11}{'by the supernet':>22}{'alone':>22}")
    print(f"{'network':24}{'parameters':>11}{'accuracy':>11}{'confidence':>11}{'accuracy':>11}{'confidence':>11}")
    for row in sorted(rows, key=lambda row: -row.alone.accuracy):
        shares = (row.judged.accuracy, row.judged.confidence, row.alone.accuracy, row.alone.confidence)
        print(f"{stem(reference(row.spec)):24}{row.params:11,}" + "".join(f"{share:11.2%}" for share in shares))
    for name, each in correlations(rows).items():
        print(f"{name:42} Spearman {each['spearman']:+.3f}, Kendall {each['kendall']:+.3f}, {len(rows)} networks")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="the folder of a search")
    parser.add_argument("--networks", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=8, help="of each training from scratch")
    parser.add_argument("--seed", type=int, default=0, help="of the networks drawn")
    parser.add_argument("--out", type=Path, help="default: RUN/alone")
    asked = parser.parse_args()
    if asked.networks < FEWEST:
        raise SystemExit(f"{asked.networks} networks say too little: give {FEWEST} or more")
    out: Path = asked.out or asked.run / "alone"
    order, fingerprint = Place(asked.run, None, asked.run).claimed()
    pictures = search_pictures(order.data, order.space, order.image_size, order.seed)
    if pictures.fingerprint != fingerprint:
        raise SystemExit(f"{order.data} is not what the search in {asked.run} saw")
    space = plugins.space(order.space, order.image_size, pictures.num_classes)
    evaluations = judged(asked.run, space, order, pictures, drawn(space, asked.networks, asked.seed))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = list(pool.map(lambda spec: trained(spec, order, asked.epochs, out), evaluations))
    unseen = held_out(order, pictures.preprocess)
    rows = [
        Row(spec, sizes(space, spec)[0], evaluation, examined(run, unseen, pictures.preprocess))
        for (spec, evaluation), run in zip(evaluations.items(), runs, strict=True)
    ]
    report(rows)
    document = {
        "epochs": asked.epochs,
        "correlations": correlations(rows),
        "rows": [{**asdict(row), "spec": row.spec.fields()} for row in rows],
    }
    (out / "rank_correlation.json").write_text(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
