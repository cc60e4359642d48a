"""Finds Chromium on this machine, starts it for one page, and makes sure that nothing of it stays."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from edge.errors import ToolchainMissingError
from edge.toolchain import installed_version

CHOSEN = "EDGE_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
GET_CHROMIUM = f"apt-get install chromium, or install Chrome, or export {CHOSEN}=/path/to/chrome"
GET_PLAYWRIGHT = "pip install 'edge-toolchain[browser]'"
PROCESSES = Path("/proc")
GONE_WITHIN_S = 5.0


def found() -> Path | None:
    """The browser: the one that `EDGE_CHROMIUM` names, else the first on the path."""
    if chosen := os.environ.get(CHOSEN):
        return Path(chosen) if os.access(chosen, os.X_OK) and Path(chosen).is_file() else None
    path = next((path for name in NAMES if (path := shutil.which(name))), None)
    return Path(path) if path else MAC if MAC.exists() else None


def required() -> Path:
    """The browser, with Playwright here to drive it. Raises `ToolchainMissingError`."""
    if installed_version("playwright") is None:
        raise ToolchainMissingError("Playwright, which drives the browser, is not installed", hint=GET_PLAYWRIGHT)
    path = found()
    if path is None:
        chosen = os.environ.get(CHOSEN)
        what = f"{CHOSEN} names {chosen}, which is no program" if chosen else f"none of {', '.join(NAMES)} is here"
        raise ToolchainMissingError(f"no Chromium: {what}", hint=GET_CHROMIUM)
    return path


@cache
def version(path: Path) -> str:
    """What the browser says of itself, as `Chromium 156.0.8078.79`; its file's name where it does not."""
    try:
        done = subprocess.run(
            [str(path), "--version"], capture_output=True, text=True, errors="replace", timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return path.name
    told = re.search(r"[A-Z]\w+(?: \w+)* \d+(?:\.\d+)+", done.stdout)
    return told[0] if told else path.name


def arguments() -> list[str]:
    """How it is started: for one page of this machine, with no GPU and no look outside."""
    quiet = [
        "--disable-gpu",  # CPU times are wanted, and a page that draws nothing needs no other
        "--disable-quic",
        "--disable-sync",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return (
        [*quiet, "--no-sandbox"] if root else quiet
    )  # Chromium's sandbox refuses to start for root, and only for root


def profile(folder: Path) -> Path:
    """Where a browser that may write below `folder` keeps what it remembers; its command line names it."""
    return folder / "profile"


def end(folder: Path) -> None:
    """Kill the browser that still runs below `folder` with its helpers, which may still write there, and wait until all
    are gone."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while (running := _running(profile(folder))) and time.monotonic() < deadline:
        for pid in running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    with suppress(OSError):  # a browser that ends well has removed its socket, which lies elsewhere, and this link
        shutil.rmtree((profile(folder) / "SingletonSocket").readlink().parent)


def _running(own: Path) -> list[int]:
    """Processes that were started on this profile; where there is no /proc, closing has to suffice."""
    wanted = re.compile(rb"--user-data-dir=%b([\0 ]|$)" % re.escape(os.fsencode(own)))  # helpers: spaces for the zeros
    found = []
    for folder in PROCESSES.glob("[0-9]*"):
        with suppress(OSError):
            if wanted.search((folder / "cmdline").read_bytes()):
                found.append(int(folder.name))
    return found
