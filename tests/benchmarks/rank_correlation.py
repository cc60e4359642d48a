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

from edge_command import edge
from scipy.stats import kendalltau, spearmanr

from edge import plugins
from edge.models.point import reference, stem
from edge.search.lesson import judge, lesson
from edge.search.order import SearchOrder
from edge.search.pictures import search_pictures
from edge.search.place import SUPERNET, Place
from edge.search.sizes import sizes
from edge.search.supernet_training import load
from edge.search.trial import Evaluation
from edge.space import SearchSpace
from edge.spec import ModelSpec

Judgements = dict[ModelSpec, Evaluation]

AT_ONCE = 2
FEWEST = 12
"""Networks below which a correlation says too little."""


@dataclass(frozen=True, slots=True)
class Row:
    """A network, the supernet's judgement on the validation pictures, and its own accuracy 0..1 on those held out."""

    spec: ModelSpec
    params: int
    judged: Evaluation
    alone: float


def drawn(space: SearchSpace, count: int, seed: int) -> list[ModelSpec]:
    """Different networks at random."""
    random = Random(seed)
    found: dict[ModelSpec, None] = {}
    while len(found) < count:
        found[space.draw(random)] = None
    return list(found)


def judged(run: Path, order: SearchOrder, fingerprint: str, count: int, seed: int) -> tuple[SearchSpace, Judgements]:
    """Random networks with the judgement of the supernet in `run`, told as the search told it."""
    pictures = search_pictures(order.data, order.space, order.image_size, order.seed)
    if pictures.fingerprint != fingerprint:
        raise SystemExit(f"{order.data} is not what the search in {run} saw")
    space = plugins.space(order.space, order.image_size, pictures.num_classes)
    asked = judge(load(space, run / SUPERNET), lesson(order, pictures), order.work.calibration)
    return space, {spec: asked(spec) for spec in drawn(space, count, seed)}


def alone(spec: ModelSpec, order: SearchOrder, epochs: int, out: Path) -> float:
    """The accuracy of a network that is trained from scratch, on the pictures that the search never saw."""
    name = reference(spec)
    words = ("--data", order.data, "--out", str(out / stem(name)), "--epochs", str(epochs))
    size = ("--image-size", "x".join(map(str, order.image_size)), "--seed", str(order.seed), "--workers", "1")
    return float(edge("train", name, *words, *size, threads=1)["accuracy"])


def correlations(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Of what each network learns on its own with what might foretell it, by rank."""
    truth = [row.alone for row in rows]
    signs = {
        "supernet accuracy": [row.judged.accuracy for row in rows],
        "supernet confidence": [row.judged.confidence for row in rows],
        "parameters": [float(row.params) for row in rows],
    }
    return {
        name: {
            "spearman": float(spearmanr(values, truth).statistic),
            "kendall": float(kendalltau(values, truth).statistic),
        }
        for name, values in signs.items()
    }


def report(rows: Sequence[Row]) -> None:
    print(f"{'network':24}{'parameters':>11}{'supernet accuracy':>19}{'confidence':>12}{'alone':>9}")
    for row in sorted(rows, key=lambda row: -row.alone):
        name = stem(reference(row.spec))
        print(f"{name:24}{row.params:11,}{row.judged.accuracy:19.2%}{row.judged.confidence:12.3f}{row.alone:9.2%}")
    for name, each in correlations(rows).items():
        print(f"{name:24} Spearman {each['spearman']:+.3f}, Kendall {each['kendall']:+.3f}, {len(rows)} networks")


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
    space, evaluations = judged(asked.run, order, fingerprint, asked.networks, asked.seed)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        accuracies = list(pool.map(lambda spec: alone(spec, order, asked.epochs, out), evaluations))
    rows = [
        Row(spec, sizes(space, spec)[0], evaluation, accuracy)
        for (spec, evaluation), accuracy in zip(evaluations.items(), accuracies, strict=True)
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
