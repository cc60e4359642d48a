"""Runs the tests of the fake adbd against a real one, in a network of its own: `make adbd-conformance`."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.fakes.adbd_of_debian import unpacked

TESTS = "tests/unit/devices/test_adbd.py"


def main() -> int:
    print(f"adbd of Debian: {(unpacked() / 'packages').read_text().split()}")
    alone = ("unshare", "--user", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
    tests = (sys.executable, "-m", "pytest", "-q", TESTS)
    return subprocess.run((*alone, *tests), env={**os.environ, "EDGE_ADBD": "debian"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
