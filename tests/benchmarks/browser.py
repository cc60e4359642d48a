"""Latency of files in the browser over the host's, one round of each in turn: `python browser.py FILE... [--rounds N]`."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from edge import plugins
from edge.protocol import TimingPlan

KINDS = ("host", "browser")


def interleaved(path: Path, plan: TimingPlan, rounds: int, log: Path) -> dict[str, list[float]]:
    """All samples in ms by the kind of device, `rounds` rounds of each in turn."""
    samples: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind, column in samples.items():
            column.extend(plugins.device(kind).time(path, plan, log=log).samples_ms)
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    plan = TimingPlan(warmup=10, runs=options.runs, threads=options.threads)
    print(f"{'file':<32}{'host ms':>9}{'browser ms':>12}{'ratio':>7}{'best host':>11}{'best browser':>14}{'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for path in options.files:
            samples = interleaved(path, plan, options.rounds, Path(folder) / "log")
            host, browser = (statistics.median(samples[kind]) for kind in KINDS)
            best_host, best_browser = (min(samples[kind]) for kind in KINDS)
            print(
                f"{path.name:<32}{host:9.3f}{browser:12.3f}{browser / host:7.2f}"
                f"{best_host:11.3f}{best_browser:14.3f}{best_browser / best_host:7.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
