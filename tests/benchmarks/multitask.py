"""Trains one network of all tasks and one network per task on the same scenes, and prints by how much each task gained.

Run it again after an interruption: finished runs are skipped, others go on. For example
`OMP_NUM_THREADS=2 python tests/benchmarks/multitask.py --out runs/tiny --model m3vit_tiny --image-size 64 --epochs 6`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from edge.cli.threads import wait_asleep
from edge.dense.comparison import Comparison, compared
from edge.dense.scenes import SCENES
from edge.models.m3vit_config import CHANNELS
from edge.reference import ModelRequest
from edge.training.order import TrainingOrder
from edge.training.recipe import RECIPES, Answers, default_warmup_epochs
from edge.training.run import train
from edge.training.watch import watcher


def options() -> argparse.Namespace:
    usual = RECIPES[Answers.MAPS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder of all runs")
    parser.add_argument("--model", default="m3vit_tiny", choices=("m3vit_tiny", "m3vit_mini"))
    parser.add_argument("--image-size", type=int, default=64, help="pixels per side")
    parser.add_argument("--epochs", type=int, default=usual.epochs)
    parser.add_argument("--batch-size", type=int, default=usual.batch_size)
    parser.add_argument("--lr", type=float, default=usual.lr)
    parser.add_argument("--scenes", type=int, default=1000, help="to train on, each seen once per epoch")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    return parser.parse_args()


def order(asked: argparse.Namespace, model: str, seed: int) -> TrainingOrder:
    recipe = replace(
        RECIPES[Answers.MAPS],
        epochs=asked.epochs,
        batch_size=asked.batch_size,
        lr=asked.lr,
        warmup_epochs=default_warmup_epochs(asked.epochs),
    )
    request = ModelRequest(model, image_size=(asked.image_size, asked.image_size), seed=seed)
    return TrainingOrder(request, SCENES, asked.out / f"{model}-{seed}", recipe, scenes=asked.scenes)


def run(asked: argparse.Namespace, model: str, seed: int) -> Path:
    ordered = order(asked, model, seed)
    with watcher() as watched:
        report = train(ordered, watched, lambda text: print(text, file=sys.stderr))
    print(f"{report.run}: {report.history[-1].words}", file=sys.stderr, flush=True)
    return report.run


def compare(asked: argparse.Namespace, seed: int) -> Comparison:
    multi = run(asked, asked.model, seed)
    return compared(multi, [run(asked, f"{asked.model}_{task}", seed) for task in CHANNELS])


def show(found: Sequence[Comparison]) -> None:
    """One line per task, means over the seeds, then Δm and how many tasks gained."""
    print(f"{'task':<10}{'metric':<20}{'one task':>12}{'all tasks':>12}{'better by':>12}")
    gains = {}
    for task in CHANNELS:
        metric = found[0].multi[task]
        single, multi = (fmean(values) for values in zip(*(_values(each, task) for each in found), strict=True))
        gains[task] = fmean(each.change.by_task[task] for each in found)
        unit = f"{metric.name} {metric.unit}".strip()
        print(f"{task:<10}{unit:<20}{single:>12.4f}{multi:>12.4f}{gains[task]:>+12.2%}")
    better = sum(gain > 0 for gain in gains.values())
    means = ", ".join(f"{each.change.mean:+.2%}" for each in found)
    print(f"Δm {fmean(gains.values()):+.2%} (seeds: {means}); better on {better} of {len(gains)} tasks")


def _values(found: Comparison, task: str) -> tuple[float, float]:
    return found.single[task].value or 0.0, found.multi[task].value or 0.0


if __name__ == "__main__":
    wait_asleep()
    wanted = options()
    results = [compare(wanted, seed) for seed in wanted.seeds]
    show(results)
    document = [{"seed": seed, "change": dict(each.change.by_task)} for seed, each in zip(wanted.seeds, results, strict=True)]
    (wanted.out / "comparison.json").write_text(json.dumps(document, indent=2) + "\n")
