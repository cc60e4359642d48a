"""The processes of this machine that try networks beside the one that leads: one for each other core, but not many."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from edge.search.place import STORAGE_VARIABLE, Place

MOST = 8
"""Processes: a step of a path has no more than some ten networks to try."""


@contextmanager
def crew(place: Place) -> Iterator[None]:
    """Each process of a search tries its networks on one core: two of them try nearly twice as many as one on two.

    They join as any other would. When the block ends there is nothing left to try, so they are ended.
    """
    with ExitStack() as stack:
        stack.enter_context(one_thread())
        others = [_joined(place, number) for number in range(1, min(MOST, os.cpu_count() or 1))]
        try:
            yield
        finally:
            for process in others:
                process.kill()
                process.wait()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch use one thread: a network is judged the same to the bit in every process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _joined(place: Place, number: int) -> subprocess.Popen[bytes]:
    """The storage's URL, which may hold a password, is handed on where other users of the machine cannot read it."""
    command = [sys.executable, "-m", "edge", "search", "--join", "--out", str(place.run), "--quiet"]
    environment = {**os.environ, STORAGE_VARIABLE: place.url, "OMP_NUM_THREADS": "1"}
    with (place.logs / f"crew{number}.log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
