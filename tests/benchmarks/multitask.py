"""Trains one network of all tasks and one network per task on the same scenes, and prints by how much each task gained.

Run it again after an interruption: finished runs are skipped, others go on. For example
`OMP_NUM_THREADS=2 python tests/benchmarks/multitask.py --out runs/tiny --model m3vit_tiny --epochs 6 --seeds 0 1`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from edge.dense.comparison import Comparison, compared
from edge.models.m3vit_config import CHANNELS


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder of all runs")
    parser.add_argument("--model", default="m3vit_tiny", choices=("m3vit_tiny", "m3vit_mini"))
    parser.add_argument("--image-size", default="64", help="as of edge train")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--scenes", type=int, default=1000, help="to train on, each seen once per epoch")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    return parser.parse_args()


def train(asked: argparse.Namespace, model: str, seed: int) -> Path:
    """One run, as a user types it; at once if it is finished."""
    out: Path = asked.out / f"{model}-{seed}"
    numbers = {
        "epochs": asked.epochs,
        "scenes": asked.scenes,
        "batch-size": asked.batch_size,
        "lr": asked.lr,
        "seed": seed,
    }
    given = [text for name, number in numbers.items() for text in (f"--{name}", str(number))]
    command = [
        sys.executable,
        "-m",
        "edge",
        "train",
        model,
        "--data",
        "scenes",
        "--image-size",
        asked.image_size,
        *given,
    ]
    subprocess.run([*command, "--out", str(out)], check=True, stdout=sys.stderr)
    return out


def compare(asked: argparse.Namespace, seed: int) -> Comparison:
    multi = train(asked, asked.model, seed)
    return compared(multi, [train(asked, f"{asked.model}_{task}", seed) for task in CHANNELS])


def show(found: Sequence[Comparison]) -> None:
    """One line per task, means over the seeds, then Δm and how many tasks gained."""
    print(f"{'task':<10}{'metric':<20}{'one task':>12}{'all tasks':>12}{'better by':>12}")
    gains = {task: fmean(each.change.by_task[task] for each in found) for task in CHANNELS}
    for task, gain in gains.items():
        metric = found[0].multi[task]
        single, multi = (fmean(value) for value in zip(*(_values(each, task) for each in found), strict=True))
        print(f"{task:<10}{f'{metric.name} {metric.unit}':<20}{single:>12.4f}{multi:>12.4f}{gain:>+12.2%}")
    means = ", ".join(f"{each.change.mean:+.2%}" for each in found)
    better = sum(gain > 0 for gain in gains.values())
    print(f"Δm {fmean(gains.values()):+.2%} (by seed: {means}); better on {better} of {len(gains)} tasks")


def _values(found: Comparison, task: str) -> tuple[float, float]:
    single, multi = found.single[task].value, found.multi[task].value
    assert single is not None  # `compared` refuses what is unknown
    assert multi is not None
    return single, multi


if __name__ == "__main__":
    wanted = options()
    results = [compare(wanted, seed) for seed in wanted.seeds]
    show(results)
    gained = [{"seed": seed, **each.change.by_task} for seed, each in zip(wanted.seeds, results, strict=True)]
    (wanted.out / "comparison.json").write_text(json.dumps(gained, indent=2) + "\n")
