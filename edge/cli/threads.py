"""How the threads of PyTorch wait for one another."""

from __future__ import annotations

import os


def wait_asleep() -> None:
    """Let idle threads sleep, unless the user chose otherwise. Takes effect before torch is imported.

    By default they spin: fast on an idle machine, but beside other work training took nine times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
