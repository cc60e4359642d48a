"""Brings LiteRT's library for arm64 Linux into the cache: `python -m devices._runners`, once, with a network."""

from __future__ import annotations

import subprocess
import sys

from devices._runners.runtime import WHEEL, download_command, runtime
from devices._runners.target import Target
from edge.errors import ToolchainMissingError
from edge.toolchain import installed_version

if __name__ == "__main__":
    version = installed_version(WHEEL)
    if version is None:
        sys.exit(f"{WHEEL} is not installed\npip install 'edge-toolchain[tflite]'")
    try:
        found = runtime(Target.LINUX_ARM64)
    except ToolchainMissingError:
        subprocess.run(download_command(version), check=True)
        found = runtime(Target.LINUX_ARM64)
    print(f"LiteRT {found.version} for {Target.LINUX_ARM64}")
