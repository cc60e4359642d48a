"""A folder for the logs of worker processes, which stays only when something goes wrong."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def log_folder() -> Iterator[Path]:
    """A fresh folder, removed at the end. When an error leaves the block, logs stay: the error's hint names one of them."""
    folder = Path(tempfile.mkdtemp(prefix="edge-logs-"))
    try:
        yield folder
    except BaseException:
        if not any(folder.iterdir()):
            folder.rmdir()
        raise
    shutil.rmtree(folder)
