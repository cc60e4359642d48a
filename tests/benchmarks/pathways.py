"""Size and latency of one task's pathway of an M3ViT beside the whole network, in the same run.

`python tests/benchmarks/pathways.py [MODEL] [--run RUN] [--pictures FOLDER]`: the whole, each task's pathway, and with a
folder of pictures each pathway with only the experts that they visit. RUN is a folder that `edge train MODEL` wrote, without
which the weights are random. Files are timed on the host, in turns; every row is the vendor's runtime on one thread.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from edge_command import EXPORTED, edge

from edge.models.m3vit_config import CHANNELS

TURNS = 3


def exported(name: str, asked: argparse.Namespace, folder: Path, extra: Sequence[str] = ()) -> list[dict[str, Any]]:
    weights = () if asked.run is None else ("--weights", str(asked.run / "weights.safetensors"))
    words = ("export", name, "--target", asked.target, "--image-size", asked.image_size, "--out", str(folder))
    return edge(*words, *weights, *extra, codes=EXPORTED)["artifacts"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="m3vit_tiny")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--image-size", default="64")
    parser.add_argument("--target", default="tflite,onnx,executorch")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = {"all tasks": exported(asked.model, asked, folder / "all")}
        for task in CHANNELS:
            made[task] = exported(f"{asked.model}_{task}", asked, folder / task)
            if asked.pictures is not None:
                kept = ("--experts-of", str(asked.pictures))
                made[f"{task}, visited experts"] = exported(
                    f"{asked.model}_{task}", asked, folder / f"{task}-kept", kept
                )
        report(made)


def report(made: dict[str, list[dict[str, Any]]]) -> None:
    """One row per file, timed in turns so that a change of the machine's speed meets all of them."""
    paths = [artifact["path"] for artifacts in made.values() for artifact in artifacts]
    turns = {path: [] for path in paths}
    for _ in range(TURNS):
        for path in paths:
            turns[path].append(edge("profile", path, "--budget", "0")["median_ms"])
    whole = {artifact["target"]: artifact for artifact in made["all tasks"]}
    print(f"{'pathway':26}{'target':12}{'MB':>8}{'of whole':>10}{'ms':>9}{'of whole':>10}  verdict")
    for name, artifacts in made.items():
        for artifact in artifacts:
            other = whole[artifact["target"]]
            ms, all_ms = (median(turns[each["path"]]) for each in (artifact, other))
            print(
                f"{name:26}{artifact['target']:12}{artifact['bytes'] / 1e6:8.2f}{artifact['bytes'] / other['bytes']:10.1%}"
                f"{ms:9.3f}{ms / all_ms:10.1%}  {artifact['verdict']}, error {artifact['relative_error']:.1e}"
            )


if __name__ == "__main__":
    main()
