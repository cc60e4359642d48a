"""Brings what the page runs into the cache: `python -m devices._browser`, once, with a network."""

from __future__ import annotations

import sys

from devices._browser.packages import Runtime, bring
from edge.errors import EdgeError

if __name__ == "__main__":
    try:
        for runtime in Runtime:
            print(f"{runtime}: {len(bring(runtime))} files")
    except EdgeError as error:
        sys.exit(f"{error}\n{error.hint}")
