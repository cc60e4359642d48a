"""The `edge` command as the benchmarks run it: in a process of its own, answering in JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Container
from typing import Any

DONE = (0,)
EXPORTED = (0, 3)
"""Exit codes of `edge export` that leave a file; of 3 it is not its model."""


def edge(*words: str, threads: int | None = None, codes: Container[int] = DONE) -> dict[str, Any]:
    """The document of `edge WORDS --json`, which shows its progress as it goes. Ends the benchmark at any other exit code."""
    environment = os.environ if threads is None else {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "edge", *words, "--json"]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    if said.returncode not in codes:
        raise SystemExit(f"edge {' '.join(words)} ended with {said.returncode}")
    document: dict[str, Any] = json.loads(said.stdout)
    return document
