"""Every variant of up to 40 M deployed parameters to every target: sizes, errors and verdicts, as one table.

`python all_models.py [MODEL...] [--out FOLDER]`: files are removed again unless --out is given.
"""

from __future__ import annotations

import argparse
import tempfile

from edge_command import edge

from edge.models.catalog import CATALOG

LARGEST = 40_000_000
ANY = range(256)
"""Exit codes: a target that fails is a row."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "models",
        nargs="*",
        default=[row.name for row in CATALOG if row.params_deploy <= LARGEST and row.input_size == 224],
    )
    parser.add_argument("--out")
    options = parser.parse_args()
    print(
        f"{'model':<22}{'target':<12}{'MB':>8}{'error':>10}{'SQNR dB':>9}{'top-1':>7}{'seconds':>9}"
        f"  {'verdict':<13}delegates/outside"
    )
    for model in options.models:
        with tempfile.TemporaryDirectory() as scratch:
            rows = edge("export", model, "--target", "all", "--keep-going", "--out", options.out or scratch, codes=ANY)
            for row in rows.get("artifacts", ()):
                delegates = edge("inspect", row["path"])["delegates"]
                print(
                    f"{model:<22}{row['target']:<12}{row['bytes'] / 1e6:8.2f}{number(row['relative_error'], '.1e'):>10}"
                    f"{number(row['sqnr_db'], '.1f'):>9}{number(row['top1_agreement'], '.0%'):>7}{row['seconds']:9.1f}"
                    f"  {row['verdict']:<13}{delegates['partitions']}/{delegates['outside']}",
                    flush=True,
                )
            for failure in rows.get("failures", [rows] if "error" in rows else []):
                print(f"{model:<22}{failure.get('target', ''):<12}{failure['error']}", flush=True)


def number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


if __name__ == "__main__":
    main()
