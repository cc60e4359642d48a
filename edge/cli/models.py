"""`edge models`: our networks."""

from __future__ import annotations

from dataclasses import asdict

from edge.cli.output import Json, Quiet, emit, table
from edge.models.catalog import CATALOG, Entry


def models(as_json: Json = False, quiet: Quiet = False) -> None:
    """List our networks with their sizes."""
    if as_json:
        return emit("models", {"models": [asdict(row) for row in CATALOG]})
    if quiet:
        return print("\n".join(row.name for row in CATALOG))
    return table(
        ("name", "parameters", "deployed", "MACs (M)", "input"),
        (
            (row.name, f"{row.params:,}", f"{row.params_deploy:,}", f"{row.macs / 1e6:,.1f}", _size(row))
            for row in CATALOG
        ),
    )


def _size(row: Entry) -> str:
    height, width = row.image_size
    return f"{height} px" if height == width else f"{height}x{width} px"
