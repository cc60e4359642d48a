"""A runner that is a shell script: what it prints, and how it ends, is up to the test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

SAMPLES_NS = (2_000_000, 2_010_000, 1_990_000, 2_000_000, 2_005_000)


def report(runs_ns: Sequence[tuple[int, int]] | None = None) -> str:
    """What our own runner prints at its end; without `runs_ns`, of five good runs."""
    started = 10**12
    good = [(started + 3_000_000 * place, ns) for place, ns in enumerate(SAMPLES_NS)]
    runs = good if runs_ns is None else runs_ns
    return json.dumps({"runs": len(runs), "runs_ns": runs, "init_ms": 12.5, "peak_rss_kb": 4096})


def folder_of(script: str, folder: Path) -> Path:
    """A folder for `--runner` in which `script` stands in for our own runner."""
    folder.mkdir(parents=True)
    runner = folder / "edge_runner"
    runner.write_text(f"#!/system/bin/sh\n{script}\n")
    runner.chmod(0o755)
    (folder / "libLiteRt.so").write_bytes(b"no library")
    (folder / "VERSION").write_text("2.3.0\n")
    return folder


def good_folder(folder: Path) -> Path:
    """One that works; it lists the arguments that it was given in /arguments, one start a line."""
    return folder_of(f"""echo "$@" >>/arguments; echo '# working'; echo '{report()}'""", folder)


def busy_folder(folder: Path) -> Path:
    """One that is still at work a while after its first line, so that what strikes it then strikes in the middle."""
    return folder_of(f"echo '# working'; sleep 3; echo '{report()}'", folder)
