"""Wall time of `edge export efficientvit_m0 --target all` against three plain vendor scripts, one after another.

Ours includes the verification of every file and the ONNX file, which the vendor scripts do not make. Each is run in turn,
`--rounds` times; the ratio of the medians is printed. Also: the CPU seconds of the ExecuTorch conversion, and a second
identical export.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODEL = "efficientvit_m0"
VENDORS = ("coreml", "tflite", "executorch")
STOCK = Path(__file__).with_name("stock.py")


def timed(command: list[str], **environment: str) -> tuple[float, str]:
    """Wall seconds and standard output of a command."""
    started = time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - started, done.stdout


def vendors(scratch: Path) -> tuple[float, float]:
    """Wall seconds of the three scripts, and the CPU seconds of the ExecuTorch conversion among them."""
    total, executorch_cpu = 0.0, 0.0
    for target in VENDORS:
        seconds, output = timed([sys.executable, str(STOCK), target, MODEL, str(scratch / f"stock-{target}")])
        total += seconds
        if target == "executorch":
            executorch_cpu = float(output.split("cpu_seconds")[1])
    return total, executorch_cpu


def ours(scratch: Path) -> tuple[float, float]:
    """Wall seconds of our export from nothing, and of the same export again."""
    command = [sys.executable, "-m", "edge", "export", MODEL, "--target", "all", "-q"]
    cache = {"EDGE_CACHE": str(scratch / "cache")}
    first, _ = timed([*command, "--out", str(scratch / "first")], **cache)
    second, _ = timed([*command, "--out", str(scratch / "second")], **cache)
    return first, second


def our_executorch_cpu(scratch: Path) -> float:
    """CPU seconds of our capture and ExecuTorch conversion in a process of its own."""
    lines = (
        "import time",
        "from pathlib import Path",
        "from edge import plugins, programs",
        "from edge.models.sources import resolve",
        "from edge.passes.capture import rewrite",
        "from edge.reference import ModelRequest",
        "from edge.spec import Recipe",
        f"model, recipe = resolve(ModelRequest('{MODEL}')), Recipe('executorch')",
        "exporter = plugins.exporter('executorch')",
        "started = time.process_time()",
        "program = rewrite(programs.captured(model, model.deploy(), None), exporter.passes())",
        f"exporter.lower(program, recipe, programs.card(model, recipe), Path({str(scratch / 'ours.pte')!r}))",
        "print('cpu_seconds', time.process_time() - started)",
    )
    return float(timed([sys.executable, "-c", "\n".join(lines)])[1].split("cpu_seconds")[1])


def one_round(scratch: Path) -> tuple[float, ...]:
    """All figures of one round, each command in its turn."""
    scratch.mkdir()
    return (*vendors(scratch), *ours(scratch), our_executorch_cpu(scratch))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rounds = [one_round(Path(folder) / str(number)) for number in range(options.rounds)]
    stock_s, stock_cpu_s, first_s, second_s, cpu_s = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"three vendor scripts, one after another   {stock_s:7.1f} s")
    print(f"edge export --target all, verified        {first_s:7.1f} s   ratio {first_s / stock_s:.2f}")
    print(f"the same export again, from the cache     {second_s:7.2f} s")
    print(
        f"ExecuTorch conversion, CPU: stock {stock_cpu_s:.1f} s, ours {cpu_s:.1f} s   ratio {cpu_s / stock_cpu_s:.2f}"
    )


if __name__ == "__main__":
    main()
