"""How well latency tables of this machine predict whole networks: per space and target, on networks that no table saw.

`python latency_table.py [--space NAME...] [--target NAME...] [--networks N] [--out FOLDER]` builds the tables (a build that was
interrupted goes on), checks them, and prints one row each; tables, pages and figures stay in the folder.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from edge_command import edge

SPACES = ("efficientformer", "efficientvit")
TARGETS = ("tflite", "executorch")
COLUMNS = ("within_10_percent", "median_error", "worst_error", "spearman", "pairs_sign_right", "pairs_clear")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", nargs="+", default=SPACES)
    parser.add_argument("--target", nargs="+", default=TARGETS)
    parser.add_argument("--networks", help="only the blocks of so many random networks; default: the whole space")
    parser.add_argument("--models", default="32", help="held-out networks")
    parser.add_argument("--image-size", default="64")
    parser.add_argument("--out", type=Path, default=Path("build/latency"))
    options = parser.parse_args()
    only = ["--networks", options.networks] if options.networks else []
    print(f"{'space':<18}{'target':<12}{'blocks':>7}", *(f"{name:>18}" for name in COLUMNS), f"{'minutes':>8}")
    for space in options.space:
        for target in options.target:
            started = time.monotonic()
            name = f"{space}-{target}-{options.image_size}"
            table = ["--table", str(options.out / f"{name}.sqlite")]
            size = ["--image-size", options.image_size, "--classes", "10"]
            built = edge("latency", "build", "--space", space, "--target", target, *size, *only, *table)
            page = options.out / f"{name}.html"
            found = edge("latency", "check", "--models", options.models, "--html", str(page), *table)
            page.with_suffix(".json").write_text(json.dumps(found, indent=2))
            figures = (f"{found[column]:>18.3f}" for column in COLUMNS)
            minutes = (time.monotonic() - started) / 60
            print(f"{space:<18}{target:<12}{built['blocks']:>7}", *figures, f"{minutes:>8.1f}", flush=True)


if __name__ == "__main__":
    main()
